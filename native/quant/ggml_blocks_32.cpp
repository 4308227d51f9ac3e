// Products and sums are rounded one by one (no fused multiply-add), which gives the bits of llama.cpp's reference code
// and of the gguf Python package, both ways.
// SPDX-License-Identifier: Apache-2.0
#include "quant/ggml_blocks_32.h"

#include <algorithm>
#include <cmath>

#include "quant/ggml_half.h"

namespace espalier {
namespace {

constexpr int kBlock = 32;
constexpr int kHalf = kBlock / 2;

// The element of largest magnitude, the first of equals, with its sign.
float extreme_of(const float* values) {
  float extreme = 0;
  for (int i = 0; i < kBlock; ++i)
    if (std::fabs(values[i]) > std::fabs(extreme)) extreme = values[i];
  return extreme;
}

// Both are f16 fields before the codes of a block.
struct Range {
  float low, step;
};

Range range_of(const float* values, int highest_code) {
  const auto [low, high] = std::minmax_element(values, values + kBlock);
  return {*low, (*high - *low) / static_cast<float>(highest_code)};
}

// A subnormal step has no finite inverse, and its f16 is zero: any code gives the same values.
float inverse_of(float step) {
  const float inverse = step != 0 ? 1.0f / step : 0.0f;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

// Rounds by adding a half and cutting, as the reference does: x * inverse + offset in [0, highest + 1).
int code_of(float value, float inverse, float offset, int highest) {
  const float scaled = value * inverse;
  return std::clamp(static_cast<int>(scaled + offset), 0, highest);
}

void pack_nibbles(const int* codes, uint8_t* bytes) {
  for (int i = 0; i < kHalf; ++i) bytes[i] = static_cast<uint8_t>((codes[i] & 15) | ((codes[i + kHalf] & 15) << 4));
}

void pack_fifth_bits(const int* codes, uint8_t* bytes) {
  for (int byte = 0; byte < 4; ++byte) {
    int bits = 0;
    for (int i = 0; i < 8; ++i) bits |= (codes[8 * byte + i] >> 4) << i;
    bytes[byte] = static_cast<uint8_t>(bits);
  }
}

// Codes of 4 bits, or of 5 with `fifth` not nullptr.
void unpack_codes(const uint8_t* nibbles, const uint8_t* fifth, int* codes) {
  for (int i = 0; i < kHalf; ++i) {
    codes[i] = nibbles[i] & 15;
    codes[i + kHalf] = nibbles[i] >> 4;
  }
  for (int i = 0; fifth != nullptr && i < kBlock; ++i) codes[i] |= ((fifth[i / 8] >> (i % 8)) & 1) << 4;
}

// Q4_0 and Q5_0: the extreme value becomes code 0, whose weight is -2^(bits - 1).
template <int kBits, int kBytes>
bool quantize_symmetric(const float* values, int64_t count, uint8_t* blocks) {
  constexpr int kMiddle = 1 << (kBits - 1);
  bool fits = true;
  for (int64_t block = 0; block < count; ++block, values += kBlock, blocks += kBytes) {
    const float step = extreme_of(values) / static_cast<float>(-kMiddle);
    const float inverse = inverse_of(step);
    int codes[kBlock];
    for (int i = 0; i < kBlock; ++i)
      codes[i] = code_of(values[i], inverse, static_cast<float>(kMiddle) + 0.5f, 2 * kMiddle - 1);
    fits = store_half(step, blocks) && fits;
    if (kBits == 5) pack_fifth_bits(codes, blocks + 2);
    pack_nibbles(codes, blocks + kBytes - kHalf);
  }
  return fits;
}

template <int kBits, int kBytes>
void dequantize_symmetric(const uint8_t* blocks, int64_t count, float* out) {
  for (int64_t block = 0; block < count; ++block, blocks += kBytes, out += kBlock) {
    const float step = load_half(blocks);
    int codes[kBlock];
    unpack_codes(blocks + kBytes - kHalf, kBits == 5 ? blocks + 2 : nullptr, codes);
    for (int i = 0; i < kBlock; ++i) out[i] = step * static_cast<float>(codes[i] - (1 << (kBits - 1)));
  }
}

// Q4_1 and Q5_1: codes count steps from the minimum.
template <int kBits, int kBytes>
bool quantize_affine(const float* values, int64_t count, uint8_t* blocks) {
  constexpr int kHighest = (1 << kBits) - 1;
  bool fits = true;
  for (int64_t block = 0; block < count; ++block, values += kBlock, blocks += kBytes) {
    const Range range = range_of(values, kHighest);
    if (!std::isfinite(range.step)) return false;
    const float inverse = inverse_of(range.step);
    int codes[kBlock];
    for (int i = 0; i < kBlock; ++i) codes[i] = code_of(values[i] - range.low, inverse, 0.5f, kHighest);
    fits = store_half(range.step, blocks) && fits;
    fits = store_half(range.low, blocks + 2) && fits;
    if (kBits == 5) pack_fifth_bits(codes, blocks + 4);
    pack_nibbles(codes, blocks + kBytes - kHalf);
  }
  return fits;
}

template <int kBits, int kBytes>
void dequantize_affine(const uint8_t* blocks, int64_t count, float* out) {
  for (int64_t block = 0; block < count; ++block, blocks += kBytes, out += kBlock) {
    const float step = load_half(blocks), low = load_half(blocks + 2);
    int codes[kBlock];
    unpack_codes(blocks + kBytes - kHalf, kBits == 5 ? blocks + 4 : nullptr, codes);
    for (int i = 0; i < kBlock; ++i) {
      const float product = step * static_cast<float>(codes[i]);
      out[i] = product + low;
    }
  }
}

}  // namespace

void dequantize_q8_0(const uint8_t* blocks, int64_t count, float* out) {
  for (int64_t block = 0; block < count; ++block, blocks += 34, out += kBlock) {
    const float d = load_half(blocks);
    const int8_t* q = reinterpret_cast<const int8_t*>(blocks + 2);
    for (int i = 0; i < kBlock; ++i) out[i] = d * static_cast<float>(q[i]);
  }
}

bool quantize_q8_0(const float* values, int64_t count, uint8_t* blocks) {
  bool fits = true;
  for (int64_t block = 0; block < count; ++block, values += kBlock, blocks += 34) {
    const float step = std::fabs(extreme_of(values)) / 127.0f;
    const float inverse = inverse_of(step);
    fits = store_half(step, blocks) && fits;
    int8_t* q = reinterpret_cast<int8_t*>(blocks + 2);
    for (int i = 0; i < kBlock; ++i) q[i] = static_cast<int8_t>(std::round(values[i] * inverse));
  }
  return fits;
}

void dequantize_q4_0(const uint8_t* blocks, int64_t count, float* out) {
  dequantize_symmetric<4, 18>(blocks, count, out);
}
bool quantize_q4_0(const float* values, int64_t count, uint8_t* blocks) {
  return quantize_symmetric<4, 18>(values, count, blocks);
}

void dequantize_q4_1(const uint8_t* blocks, int64_t count, float* out) { dequantize_affine<4, 20>(blocks, count, out); }
bool quantize_q4_1(const float* values, int64_t count, uint8_t* blocks) {
  return quantize_affine<4, 20>(values, count, blocks);
}

void dequantize_q5_0(const uint8_t* blocks, int64_t count, float* out) {
  dequantize_symmetric<5, 22>(blocks, count, out);
}
bool quantize_q5_0(const float* values, int64_t count, uint8_t* blocks) {
  return quantize_symmetric<5, 22>(values, count, blocks);
}

void dequantize_q5_1(const uint8_t* blocks, int64_t count, float* out) { dequantize_affine<5, 24>(blocks, count, out); }
bool quantize_q5_1(const float* values, int64_t count, uint8_t* blocks) {
  return quantize_affine<5, 24>(values, count, blocks);
}

}  // namespace espalier
