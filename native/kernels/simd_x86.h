// The one place that brings x86 vector intrinsics in; ISA files include nothing else for them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <immintrin.h>
