// ISA levels. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {

// A level implies those below it. kRef is scalar code with float64 accumulation.
enum class Isa : int { kRef = 0, kAvx2 = 1, kAvx512 = 2, kAvx512Bf16 = 3 };
constexpr int kIsaCount = 4;

}  // namespace espalier
