// bitsandbytes' 4-bit types: blocks of values scaled by their absmax, each value one of sixteen between -1 and 1.
// nf4: quantiles of the normal distribution (Dettmers et al., QLoRA, 2023, appendix E). fp4: sign, two exponent bits
// and one mantissa bit scaled to 1, not E2M1's order of codes. Bit-exact with its CUDA kernels.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.h"

namespace espalier {

enum class Block4Type : int32_t { kNf4 = 0, kFp4 = 1 };

constexpr int64_t kBlock4DefaultSize = 64;
constexpr int64_t kNestedBlockSize = 256;

// The sixteen values by code. fp4's code 8 is -0.
std::span<const float, 16> block4_values(Block4Type type);

// The code of x, a value divided by its block's absmax.
uint8_t block4_code(Block4Type type, float x);

// The 256 values of bitsandbytes' signed dynamic map, ascending: -0.993 ... 0 (code 127) ... 1. Made on first use.
std::span<const float, 256> dynamic_map();

inline size_t block4_packed_bytes(size_t count) { return (count + 1) / 2; }
inline size_t block4_blocks(size_t count, int64_t block_size) {
  return (count + static_cast<size_t>(block_size) - 1) / static_cast<size_t>(block_size);
}

// values [count]               f32, finite, a weight [out, in] row-major; blocks run across rows
// packed [ceil(count / 2)]     element 2i in the high nibble, 2i + 1 in the low; after an odd count the code of 0
// absmax [ceil(count / block)] f32; the last block may be short. A block of zeros has absmax 0 and the code of 0.
// ERR_QUANT_GROUP_SIZE unless block_size is 32, 64, ... 4096; ERR_SHAPE; ERR_WEIGHT_VALUE at the first NaN or infinity.
Status block4_quantize(Block4Type type, std::span<const float> values, int64_t block_size, std::span<uint8_t> packed,
                       std::span<float> absmax);
// out [count] f32 = value of the code times absmax
Status block4_dequantize(Block4Type type, std::span<const uint8_t> packed, std::span<const float> absmax,
                         int64_t block_size, std::span<float> out);

// Double quantization: what is left of absmax less its mean goes through the same scheme, in blocks of 256 and 8 bits.
// absmax [blocks]              f32, finite
// codes  [blocks]              into dynamic_map
// nested [ceil(blocks / 256)]  f32, absmax of each 256
// offset                       the mean of absmax, summed in float64
Status nested_absmax_quantize(std::span<const float> absmax, std::span<uint8_t> codes, std::span<float> nested,
                              float* offset);
// out [blocks] = map[code] * nested + offset
Status nested_absmax_dequantize(std::span<const uint8_t> codes, std::span<const float> nested, float offset,
                                std::span<float> out);

}  // namespace espalier
