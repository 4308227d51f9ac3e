// SPDX-License-Identifier: Apache-2.0
#include "quant/nf4.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <iterator>

#include "quant/encode_tables.h"
#include "quant/table4_values.h"

namespace espalier {
namespace {

// A value takes the code of how many limits it exceeds; the last is infinity.
uint8_t nf4_code(float x) {
  return static_cast<uint8_t>(std::lower_bound(std::begin(kNf4Limits), std::end(kNf4Limits), x) - kNf4Limits);
}

uint8_t fp4_code(float x) {
  const auto* place = std::lower_bound(std::begin(kFp4Limits), std::end(kFp4Limits), std::fabs(x));
  return static_cast<uint8_t>(kFp4PlaceCodes[place - kFp4Limits] | (x < 0 ? 8 : 0));
}

// bitsandbytes' CPU code divides by no less than this; its CUDA code would make a block of zeros NaN.
float reciprocal(float absmax) { return 1.0f / std::max(absmax, 1e-38f); }

float absmax_of(std::span<const float> values) {
  float absmax = 0;
  for (const float value : values) absmax = std::max(absmax, std::fabs(value));
  return absmax;
}

// f32 operations in this order give the bits of the published map.
std::array<float, 256> make_dynamic_map() {
  std::array<float, 256> map{};
  size_t above = 128;
  for (int exponent = 0; exponent < 7; ++exponent) {
    const int count = (1 << exponent) + 1;  // boundaries from 0.1 to 1
    const float first = 0.1f, step = (1.0f - first) / static_cast<float>(count - 1);
    const auto boundary = [&](int j) {
      return j < count / 2 ? std::fma(step, static_cast<float>(j), first)
                           : std::fma(-step, static_cast<float>(count - 1 - j), 1.0f);
    };
    const float scale = static_cast<float>(std::pow(10.0, exponent - 6));
    for (int j = 0; j + 1 < count; ++j, ++above) {
      map[above] = (boundary(j) + boundary(j + 1)) / 2 * scale;
      map[254 - above] = -map[above];
    }
  }
  map[255] = 1.0f;
  return map;
}

// The nearest entry, told by the f32 midpoint of its neighbours; a tie goes to the even code.
uint8_t dynamic_code(std::span<const float, 256> map, float x) {
  const size_t high = std::lower_bound(map.begin(), map.end(), x) - map.begin();
  if (high == 0) return 0;
  if (high == 256) return 255;
  const float midpoint = (map[high - 1] + map[high]) * 0.5f;
  const bool up = x > midpoint || (x == midpoint && high % 2 == 0);
  return static_cast<uint8_t>(up ? high : high - 1);
}

Status check_size(const char* name, size_t found, size_t expected) {
  if (found == expected) return Status::ok();
  return Status("ERR_SHAPE", format_text("%s holds %zu elements; expected %zu", name, found, expected));
}

Status check_finite(const char* name, std::span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      return Status("ERR_WEIGHT_VALUE", format_text("%s[%zu] is %g; blocks of 4 bits hold finite values", name, i,
                                                    static_cast<double>(values[i])));
  return Status::ok();
}

Status check_blocks(size_t count, int64_t block_size, size_t packed, size_t absmax) {
  if (block_size < 32 || block_size > 4096 || !std::has_single_bit(static_cast<uint64_t>(block_size)))
    return Status("ERR_QUANT_GROUP_SIZE", format_text("block size %lld; expected a power of two from 32 to 4096",
                                                      static_cast<long long>(block_size)));
  ESP_RETURN_IF_ERROR(check_size("packed", packed, block4_packed_bytes(count)));
  return check_size("absmax", absmax, block4_blocks(count, block_size));
}

Status check_nested(size_t blocks, size_t codes, size_t nested) {
  ESP_RETURN_IF_ERROR(check_size("codes", codes, blocks));
  return check_size("nested absmax", nested, block4_blocks(blocks, kNestedBlockSize));
}

}  // namespace

uint8_t block4_code(Block4Type type, float x) { return type == Block4Type::kNf4 ? nf4_code(x) : fp4_code(x); }

std::span<const float, 16> block4_values(Block4Type type) { return type == Block4Type::kNf4 ? kNf4Values : kFp4Values; }

std::span<const float, 256> dynamic_map() {
  static const std::array<float, 256> map = make_dynamic_map();
  return map;
}

Status block4_quantize(Block4Type type, std::span<const float> values, int64_t block_size, std::span<uint8_t> packed,
                       std::span<float> absmax) {
  ESP_RETURN_IF_ERROR(check_blocks(values.size(), block_size, packed.size(), absmax.size()));
  ESP_RETURN_IF_ERROR(check_finite("weight", values));
  const auto code_of = type == Block4Type::kNf4 ? nf4_code : fp4_code;
  // The padding; every other nibble is written below. Blocks are even: only the last pair of all can be half.
  if (values.size() % 2 != 0) packed.back() = code_of(0.0f);
  for (size_t block = 0; block < absmax.size(); ++block) {
    const size_t begin = block * block_size, end = std::min(begin + block_size, values.size());
    absmax[block] = absmax_of(values.subspan(begin, end - begin));
    const float factor = reciprocal(absmax[block]);
    for (size_t i = begin; i < end; ++i) {
      const uint8_t code = code_of(values[i] * factor);
      uint8_t& pair = packed[i / 2];
      const bool last = i + 1 == values.size();
      if (i % 2 == 0)
        pair = static_cast<uint8_t>(code << 4 | (last ? pair & 15 : 0));
      else
        pair |= code;
    }
  }
  return Status::ok();
}

Status block4_dequantize(Block4Type type, std::span<const uint8_t> packed, std::span<const float> absmax,
                         int64_t block_size, std::span<float> out) {
  ESP_RETURN_IF_ERROR(check_blocks(out.size(), block_size, packed.size(), absmax.size()));
  const std::span<const float, 16> table = block4_values(type);
  for (size_t i = 0; i < out.size(); ++i) {
    const uint8_t code = i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 15;
    out[i] = table[code] * absmax[i / block_size];
  }
  return Status::ok();
}

Status nested_absmax_quantize(std::span<const float> absmax, std::span<uint8_t> codes, std::span<float> nested,
                              float* offset) {
  ESP_RETURN_IF_ERROR(check_nested(absmax.size(), codes.size(), nested.size()));
  ESP_RETURN_IF_ERROR(check_finite("absmax", absmax));
  double sum = 0;
  for (const float value : absmax) sum += value;
  *offset = absmax.empty() ? 0.0f : static_cast<float>(sum / static_cast<double>(absmax.size()));
  const std::span<const float, 256> map = dynamic_map();
  for (size_t block = 0; block < nested.size(); ++block) {
    const size_t begin = block * kNestedBlockSize, end = std::min(begin + kNestedBlockSize, absmax.size());
    float largest = 0;
    for (size_t i = begin; i < end; ++i) largest = std::max(largest, std::fabs(absmax[i] - *offset));
    nested[block] = largest;
    const float factor = reciprocal(largest);
    for (size_t i = begin; i < end; ++i) codes[i] = dynamic_code(map, (absmax[i] - *offset) * factor);
  }
  return Status::ok();
}

Status nested_absmax_dequantize(std::span<const uint8_t> codes, std::span<const float> nested, float offset,
                                std::span<float> out) {
  ESP_RETURN_IF_ERROR(check_nested(out.size(), codes.size(), nested.size()));
  const std::span<const float, 256> map = dynamic_map();
  for (size_t i = 0; i < out.size(); ++i) out[i] = map[codes[i]] * nested[i / kNestedBlockSize] + offset;
  return Status::ok();
}

}  // namespace espalier
