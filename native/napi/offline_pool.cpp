// SPDX-License-Identifier: Apache-2.0
#include "napi/offline_pool.h"

namespace espalier {

ThreadPool& offline_pool() {
  static ThreadPool pool;  // function-local: it joins its threads when the addon is unloaded
  return pool;
}

}  // namespace espalier
