// GGUF's types of 32 elements a block: one f16 scale d, and in the "_1" types the f16 minimum m as well. Nibbles: byte
// j holds element j low and j + 16 high. Arguments as in SourceTypeInfo. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

// 34 bytes: d, 32 int8 q; w = d * q
void dequantize_q8_0(const uint8_t* blocks, int64_t count, float* out);
bool quantize_q8_0(const float* values, int64_t count, uint8_t* blocks);

// 18 bytes: d, 16 bytes of nibbles; w = d * (q - 8)
void dequantize_q4_0(const uint8_t* blocks, int64_t count, float* out);
bool quantize_q4_0(const float* values, int64_t count, uint8_t* blocks);

// 20 bytes: d, m, 16 bytes of nibbles; w = d * q + m
void dequantize_q4_1(const uint8_t* blocks, int64_t count, float* out);
bool quantize_q4_1(const float* values, int64_t count, uint8_t* blocks);

// 22 bytes: d, 32 bits (element j's fifth bit is bit j), 16 bytes of nibbles; w = d * (q - 16)
void dequantize_q5_0(const uint8_t* blocks, int64_t count, float* out);
bool quantize_q5_0(const float* values, int64_t count, uint8_t* blocks);

// 24 bytes: d, m, 32 bits as in Q5_0, 16 bytes of nibbles; w = d * q + m
void dequantize_q5_1(const uint8_t* blocks, int64_t count, float* out);
bool quantize_q5_1(const float* values, int64_t count, uint8_t* blocks);

}  // namespace espalier
