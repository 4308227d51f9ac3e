// The two 8-bit floats (OCP 8-bit floating point, 2023), by code, and their exact conversions.
// e4m3 (E4M3FN): bias 7, largest 448 (0x7e), NaN 0x7f and 0xff, no infinity; steps of 2^-9 below 2^-6.
// e5m2: IEEE-like, bias 15, largest 57344 (0x7b), infinity 0x7c, NaN 0x7d..0x7f; steps of 2^-16 below 2^-14.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>

#include "core/status.h"

namespace espalier {

enum class Fp8Type : int32_t { kE4M3 = 0, kE5M2 = 1 };

// Exact. NaN codes give a quiet NaN of their sign.
float fp8_e4m3_to_f32(uint8_t code);
float fp8_e5m2_to_f32(uint8_t code);

// Round to nearest, ties to the even code; subnormals kept; what rounds beyond the largest, infinities included,
// becomes
// +-largest; NaN becomes 0x7f whatever its sign (CUDA's host conversion with __NV_SATFINITE).
uint8_t f32_to_fp8_e4m3(float value);
uint8_t f32_to_fp8_e5m2(float value);

// Whole spans of one length; ERR_SHAPE otherwise.
Status fp8_to_f32(Fp8Type type, std::span<const uint8_t> codes, std::span<float> out);
Status f32_to_fp8(Fp8Type type, std::span<const float> values, std::span<uint8_t> out);

}  // namespace espalier
