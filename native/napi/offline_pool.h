// The threads of work that runs between engines and trainers: packing, quantizing.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/thread_pool.h"

namespace espalier {

// Shared by the process. A function-local static: it joins its threads when the addon is unloaded.
ThreadPool& offline_pool();

}  // namespace espalier
