// Products and sums are rounded one by one (no fused multiply-add), which gives the bits of the gguf Python package.
// SPDX-License-Identifier: Apache-2.0
#include "quant/ggml_blocks_256.h"

#include <algorithm>
#include <cmath>

#include "quant/ggml_fit.h"
#include "quant/ggml_half.h"

namespace espalier {
namespace {

constexpr int kSuper = 256;
constexpr int kGroups = 8;  // of kGroup elements in Q4_K and Q5_K
constexpr int kGroup = 32;
constexpr int kScaleBytes = 12;
constexpr int kHeader = 4 + kScaleBytes;
constexpr int kHighestScale = 63;

// Eight scales and eight minima of 6 bits: the first four of each in the low bits of bytes 0-3 and 4-7; the last four
// have their low nibbles in bytes 8-11 and their upper two bits on top of bytes 0-7.
void pack_scales(const uint8_t* scales, const uint8_t* minima, uint8_t* bytes) {
  for (int i = 0; i < 4; ++i) {
    bytes[i] = static_cast<uint8_t>(scales[i] | ((scales[i + 4] >> 4) << 6));
    bytes[i + 4] = static_cast<uint8_t>(minima[i] | ((minima[i + 4] >> 4) << 6));
    bytes[i + 8] = static_cast<uint8_t>((scales[i + 4] & 15) | ((minima[i + 4] & 15) << 4));
  }
}

void unpack_scales(const uint8_t* bytes, uint8_t* scales, uint8_t* minima) {
  for (int i = 0; i < 4; ++i) {
    scales[i] = bytes[i] & 63;
    minima[i] = bytes[i + 4] & 63;
    scales[i + 4] = static_cast<uint8_t>((bytes[i + 8] & 15) | ((bytes[i] >> 6) << 4));
    minima[i + 4] = static_cast<uint8_t>((bytes[i + 8] >> 4) | ((bytes[i + 4] >> 6) << 4));
  }
}

// Two groups share 32 bytes: the even one has the low nibbles.
void pack_nibbles(const uint8_t* codes, uint8_t* bytes) {
  for (int pair = 0; pair < kGroups / 2; ++pair, codes += 2 * kGroup, bytes += kGroup)
    for (int i = 0; i < kGroup; ++i) bytes[i] = static_cast<uint8_t>((codes[i] & 15) | ((codes[i + kGroup] & 15) << 4));
}

void unpack_nibbles(const uint8_t* bytes, uint8_t* codes) {
  for (int pair = 0; pair < kGroups / 2; ++pair, codes += 2 * kGroup, bytes += kGroup)
    for (int i = 0; i < kGroup; ++i) {
      codes[i] = bytes[i] & 15;
      codes[i + kGroup] = bytes[i] >> 4;
    }
}

struct AffineBlock {
  float step, offset;  // what the scales and minima count
  uint8_t scales[kGroups], minima[kGroups];
  uint8_t codes[kSuper];
};

// Codes of the whole numbers nearest to values in units of the largest, which becomes kHighestScale.
float count_in_steps(const float* values, uint8_t* codes) {
  const float largest = *std::max_element(values, values + kGroups);
  const float inverse = static_cast<float>(kHighestScale) / largest;
  const bool usable = largest > 0 && std::isfinite(largest) && std::isfinite(inverse);
  for (int i = 0; i < kGroups; ++i)
    codes[i] = usable ? static_cast<uint8_t>(round_within(inverse * values[i], 0, kHighestScale)) : 0;
  return largest / static_cast<float>(kHighestScale);
}

// values [256] -> block; what the f16 d and dmin are goes to `header`. False when one is beyond f16.
bool fit_block(const float* values, const AffineSearch& search, AffineBlock* block, uint8_t* header) {
  float steps[kGroups], offsets[kGroups];
  for (int group = 0; group < kGroups; ++group) {
    const AffineFit fit = fit_affine(values + group * kGroup, search);
    steps[group] = std::max(fit.step, 0.0f);
    offsets[group] = fit.offset;
  }
  const bool fits = store_half(count_in_steps(steps, block->scales), header) &&
                    store_half(count_in_steps(offsets, block->minima), header + 2);
  if (!fits) return false;
  block->step = load_half(header);
  block->offset = load_half(header + 2);
  // The scales have been rounded since the search: each code is chosen anew.
  for (int group = 0; group < kGroups; ++group) {
    const float step = block->step * static_cast<float>(block->scales[group]);
    const float offset = block->offset * static_cast<float>(block->minima[group]);
    for (int i = group * kGroup; i < (group + 1) * kGroup; ++i) {
      const float code = step > 0 ? (values[i] + offset) / step : 0;
      block->codes[i] = static_cast<uint8_t>(round_within(code, 0, static_cast<float>(search.highest)));
    }
  }
  pack_scales(block->scales, block->minima, header + 4);
  return true;
}

// header -> out [256], from codes
void restore_block(const uint8_t* header, const uint8_t* codes, float* out) {
  const float d = load_half(header), dmin = load_half(header + 2);
  uint8_t scales[kGroups], minima[kGroups];
  unpack_scales(header + 4, scales, minima);
  for (int group = 0; group < kGroups; ++group) {
    const float step = d * static_cast<float>(scales[group]);
    const float offset = dmin * static_cast<float>(minima[group]);
    for (int i = group * kGroup; i < (group + 1) * kGroup; ++i) {
      const float product = step * static_cast<float>(codes[i]);
      out[i] = product - offset;
    }
  }
}

// Q6_K
constexpr int kSmallGroups = 16;
constexpr int kSmallGroup = 16;

struct SymmetricBlock {
  int8_t scales[kSmallGroups];
  uint8_t codes[kSuper];  // 32 is zero
};

// values [256] -> block; the f16 step goes to `half`. False when it is beyond f16.
bool fit_block(const float* values, SymmetricBlock* block, uint8_t* half) {
  float steps[kSmallGroups], extreme = 0;
  for (int group = 0; group < kSmallGroups; ++group) {
    steps[group] = fit_symmetric(values + group * kSmallGroup, kSmallGroup, 32);
    if (std::fabs(steps[group]) > std::fabs(extreme)) extreme = steps[group];
  }
  if (!std::isfinite(extreme)) return false;
  const float inverse = extreme != 0 ? -128.0f / extreme : 0;  // int8 reaches further below zero
  const bool usable = inverse != 0 && std::isfinite(inverse);
  if (!store_half(usable ? 1 / inverse : 0, half)) return false;
  const float unit = load_half(half);
  for (int group = 0; group < kSmallGroups; ++group) {
    const float scale = usable ? round_within(inverse * steps[group], -128, 127) : 0;
    block->scales[group] = static_cast<int8_t>(scale);
    const float step = unit * scale;
    for (int i = group * kSmallGroup; i < (group + 1) * kSmallGroup; ++i)
      block->codes[i] = static_cast<uint8_t>(32 + round_within(step != 0 ? values[i] / step : 0, -32, 31));
  }
  return true;
}

// Each half of 128 elements is four runs of 32: runs 0 and 1 are low nibbles, 2 and 3 high ones of 64 bytes, and byte j
// of 32 more has the upper two bits of element j of each run.
void pack_six_bits(const uint8_t* codes, uint8_t* low, uint8_t* high) {
  for (int half = 0; half < 2; ++half, codes += 128, low += 64, high += 32)
    for (int i = 0; i < 32; ++i) {
      const uint8_t a = codes[i], b = codes[i + 32], c = codes[i + 64], d = codes[i + 96];
      low[i] = static_cast<uint8_t>((a & 15) | ((c & 15) << 4));
      low[i + 32] = static_cast<uint8_t>((b & 15) | ((d & 15) << 4));
      high[i] = static_cast<uint8_t>((a >> 4) | ((b >> 4) << 2) | ((c >> 4) << 4) | ((d >> 4) << 6));
    }
}

void unpack_six_bits(const uint8_t* low, const uint8_t* high, uint8_t* codes) {
  for (int half = 0; half < 2; ++half, codes += 128, low += 64, high += 32)
    for (int run = 0; run < 4; ++run)
      for (int i = 0; i < 32; ++i) {
        const int nibble = (low[i + 32 * (run % 2)] >> (4 * (run / 2))) & 15;
        codes[32 * run + i] = static_cast<uint8_t>(nibble | (((high[i] >> (2 * run)) & 3) << 4));
      }
}

}  // namespace

void dequantize_q4_k(const uint8_t* blocks, int64_t count, float* out) {
  uint8_t codes[kSuper];
  for (int64_t block = 0; block < count; ++block, blocks += 144, out += kSuper) {
    unpack_nibbles(blocks + kHeader, codes);
    restore_block(blocks, codes, out);
  }
}

bool quantize_q4_k(const float* values, int64_t count, uint8_t* blocks) {
  AffineBlock fitted;
  for (int64_t block = 0; block < count; ++block, values += kSuper, blocks += 144) {
    if (!fit_block(values, {15, -1.0f, 20}, &fitted, blocks)) return false;
    pack_nibbles(fitted.codes, blocks + kHeader);
  }
  return true;
}

void dequantize_q5_k(const uint8_t* blocks, int64_t count, float* out) {
  uint8_t codes[kSuper];
  for (int64_t block = 0; block < count; ++block, blocks += 176, out += kSuper) {
    const uint8_t* fifth = blocks + kHeader;
    unpack_nibbles(fifth + kGroup, codes);
    for (int i = 0; i < kSuper; ++i) codes[i] |= static_cast<uint8_t>(((fifth[i % kGroup] >> (i / kGroup)) & 1) << 4);
    restore_block(blocks, codes, out);
  }
}

bool quantize_q5_k(const float* values, int64_t count, uint8_t* blocks) {
  AffineBlock fitted;
  for (int64_t block = 0; block < count; ++block, values += kSuper, blocks += 176) {
    if (!fit_block(values, {31, -0.5f, 15}, &fitted, blocks)) return false;
    uint8_t* fifth = blocks + kHeader;
    for (int i = 0; i < kGroup; ++i) {
      int bits = 0;
      for (int group = 0; group < kGroups; ++group) bits |= (fitted.codes[group * kGroup + i] >> 4) << group;
      fifth[i] = static_cast<uint8_t>(bits);
    }
    pack_nibbles(fitted.codes, fifth + kGroup);
  }
  return true;
}

void dequantize_q6_k(const uint8_t* blocks, int64_t count, float* out) {
  uint8_t codes[kSuper];
  for (int64_t block = 0; block < count; ++block, blocks += 210, out += kSuper) {
    unpack_six_bits(blocks, blocks + 128, codes);
    const int8_t* scales = reinterpret_cast<const int8_t*>(blocks + 192);
    const float d = load_half(blocks + 208);
    for (int i = 0; i < kSuper; ++i) {
      const float step = d * static_cast<float>(scales[i / kSmallGroup]);
      out[i] = step * static_cast<float>(codes[i] - 32);
    }
  }
}

bool quantize_q6_k(const float* values, int64_t count, uint8_t* blocks) {
  SymmetricBlock fitted;
  for (int64_t block = 0; block < count; ++block, values += kSuper, blocks += 210) {
    if (!fit_block(values, &fitted, blocks + 208)) return false;
    pack_six_bits(fitted.codes, blocks, blocks + 128);
    std::copy_n(reinterpret_cast<const uint8_t*>(fitted.scales), kSmallGroups, blocks + 192);
  }
  return true;
}

}  // namespace espalier
