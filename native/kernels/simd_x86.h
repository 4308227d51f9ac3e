// The one place that brings x86 vector intrinsics in; ISA files include nothing else for them. With ESPALIER_SIMDE the
// AVX-512 ones are SIMDe's, so that their kernels can be tested on a CPU without AVX-512.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <immintrin.h>

#if defined(ESPALIER_SIMDE)
#include "kernels/simd_x86_simde.h"
#endif

// Makes a sum opaque: without it gcc 12 regroups integer sums, moves the additions to the end of a loop and spills.
#if defined(__AVX2__) && !defined(ESPALIER_SIMDE)
#define ESP_KEEP_SUM(sum) asm("" : "+x"(sum))
#else
#define ESP_KEEP_SUM(sum) static_cast<void>(0)
#endif
