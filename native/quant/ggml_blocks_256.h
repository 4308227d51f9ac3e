// GGUF's K types: 256 elements a super-block, whose groups have small scales that an f16 multiplies. Arguments as in
// SourceTypeInfo.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

// 144 bytes: f16 d, f16 dmin, 12 bytes of 8 scales and 8 minima of 6 bits, 128 bytes of nibbles.
// Groups of 32: w = (d * scale) * q - (dmin * minimum)
void dequantize_q4_k(const uint8_t* blocks, int64_t count, float* out);
bool quantize_q4_k(const float* values, int64_t count, uint8_t* blocks);

// 176 bytes: as Q4_K, with 32 bytes of fifth bits (bit g of byte j is element j of group g) before the nibbles.
void dequantize_q5_k(const uint8_t* blocks, int64_t count, float* out);
bool quantize_q5_k(const float* values, int64_t count, uint8_t* blocks);

// 210 bytes: 128 bytes of low nibbles, 64 of upper bit pairs, 16 int8 scales, f16 d. Groups of 16:
// w = (d * scale) * (q - 32)
void dequantize_q6_k(const uint8_t* blocks, int64_t count, float* out);
bool quantize_q6_k(const float* values, int64_t count, uint8_t* blocks);

}  // namespace espalier
