// The one place that brings x86 vector intrinsics in; ISA files include nothing else for them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <immintrin.h>

// Makes a sum opaque: without it gcc 12 regroups integer sums, moves the additions to the end of a loop and spills.
#if defined(__AVX2__)
#define ESP_KEEP_SUM(sum) asm("" : "+x"(sum))
#else
#define ESP_KEEP_SUM(sum) static_cast<void>(0)
#endif
