// CpuContext: what a CPU kernel driver needs besides its arguments.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/isa.h"

namespace espalier {

class ThreadPool;

struct CpuContext {
  ThreadPool* pool;
  Isa isa;  // kernels take the best variant at or below this level
};

}  // namespace espalier
