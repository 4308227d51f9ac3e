// SPDX-License-Identifier: Apache-2.0
#include "quant/fp8.h"

#include <bit>

namespace espalier {
namespace {

struct Layout {
  uint32_t mantissa_bits;
  uint32_t bias;
  uint32_t largest;  // code of the largest finite value
};

constexpr Layout kE4M3 = {3, 7, 0x7e};
constexpr Layout kE5M2 = {2, 15, 0x7b};
constexpr uint8_t kNan = 0x7f;

uint8_t encode(const Layout& layout, float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 24) & 0x80u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return kNan;
  const uint32_t dropped = 23 - layout.mantissa_bits;
  if (magnitude < (128 - layout.bias) << 23) {  // below the smallest normal
    // A power of two whose f32 ulp is the subnormal step: the addition rounds to nearest even for us.
    const uint32_t magic = (128 - layout.bias + dropped) << 23;
    const float sum = std::bit_cast<float>(magnitude) + std::bit_cast<float>(magic);
    return static_cast<uint8_t>(sign | (std::bit_cast<uint32_t>(sum) - magic));
  }
  const uint32_t rebased = magnitude - ((127 - layout.bias) << 23);
  const uint32_t odd = (rebased >> dropped) & 1u;
  const uint32_t code = (rebased + (1u << (dropped - 1)) - 1 + odd) >> dropped;
  return static_cast<uint8_t>(sign | (code < layout.largest ? code : layout.largest));
}

// A code that is neither infinite nor NaN.
float decode_finite(const Layout& layout, uint32_t code) {
  const uint32_t sign = (code & 0x80u) << 24;
  const uint32_t exponent = (code & 0x7fu) >> layout.mantissa_bits;
  const uint32_t mantissa = code & ((1u << layout.mantissa_bits) - 1);
  if (exponent == 0) {
    const float step = std::bit_cast<float>((128 - layout.bias - layout.mantissa_bits) << 23);
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(static_cast<float>(mantissa) * step));
  }
  const uint32_t dropped = 23 - layout.mantissa_bits;
  return std::bit_cast<float>(sign | ((exponent + 127 - layout.bias) << 23) | (mantissa << dropped));
}

float decode(const Layout& layout, uint8_t code) {
  const uint32_t magnitude = code & 0x7fu;
  if (magnitude <= layout.largest) return decode_finite(layout, code);
  const uint32_t sign = (code & 0x80u) << 24;
  const bool infinite = magnitude == 0x7cu;  // of e5m2: e4m3's largest is above
  return std::bit_cast<float>(sign | (infinite ? 0x7f800000u : 0x7fc00000u));
}

Status check_lengths(size_t source, size_t out) {
  if (source == out) return Status::ok();
  return Status("ERR_SHAPE", format_text("fp8: %zu elements do not fit an output of %zu", source, out));
}

}  // namespace

float fp8_e4m3_to_f32(uint8_t code) { return decode(kE4M3, code); }
float fp8_e5m2_to_f32(uint8_t code) { return decode(kE5M2, code); }
uint8_t f32_to_fp8_e4m3(float value) { return encode(kE4M3, value); }
uint8_t f32_to_fp8_e5m2(float value) { return encode(kE5M2, value); }

Status fp8_to_f32(Fp8Type type, std::span<const uint8_t> codes, std::span<float> out) {
  ESP_RETURN_IF_ERROR(check_lengths(codes.size(), out.size()));
  const Layout& layout = type == Fp8Type::kE4M3 ? kE4M3 : kE5M2;
  for (size_t i = 0; i < codes.size(); ++i) out[i] = decode(layout, codes[i]);
  return Status::ok();
}

Status f32_to_fp8(Fp8Type type, std::span<const float> values, std::span<uint8_t> out) {
  ESP_RETURN_IF_ERROR(check_lengths(values.size(), out.size()));
  const Layout& layout = type == Fp8Type::kE4M3 ? kE4M3 : kE5M2;
  for (size_t i = 0; i < values.size(); ++i) out[i] = encode(layout, values[i]);
  return Status::ok();
}

}  // namespace espalier
