// LinearKernel: the tile functions of one weight format on one ISA. Plain C types only.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/isa.h"

namespace espalier {

struct LinearKernel;  // the kernels' author fills this in

}  // namespace espalier
