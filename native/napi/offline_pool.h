// The threads shared by all offline work of the process: packing, quantizing.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/thread_pool.h"

namespace espalier {

ThreadPool& offline_pool();

}  // namespace espalier
