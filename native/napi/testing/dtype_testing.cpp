// Test exports of the float conversions: whole arrays, and sweeps over the bit patterns of f32 against an independent
// way to round.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstring>

#include "core/cpu_features.h"
#include "core/dtype.h"
#include "napi/testing/f16_hardware.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { from: "f16", source: typed array, out: Float32Array, count }
Napi::Value test_convert_to_f32(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  const DTypeInfo* from = dtype_by_name(string_of(options, "from").c_str());
  const bool done = from != nullptr && convert_to_f32(from->dtype, data_of<void>(options, "source"),
                                                      data_of<float>(options, "out"), int_of(options, "count"));
  return Napi::Boolean::New(info.Env(), done);
}
ESP_TEST_EXPORT(convert_to_f32);

// { to: "f16", source: Float32Array, out: typed array, count }
Napi::Value test_convert_from_f32(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  const DTypeInfo* to = dtype_by_name(string_of(options, "to").c_str());
  const bool done = to != nullptr && convert_from_f32(to->dtype, data_of<float>(options, "source"),
                                                      data_of<void>(options, "out"), int_of(options, "count"));
  return Napi::Boolean::New(info.Env(), done);
}
ESP_TEST_EXPORT(convert_from_f32);

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// The nearest of the finite 16-bit patterns by bisection and distance in float64; ties to the even pattern. `overflow`
// is the first value that rounds to infinity.
uint16_t nearest_pattern(float value, float (*widen)(uint16_t), uint16_t infinity, double overflow) {
  const double magnitude = std::fabs(static_cast<double>(value));
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (magnitude >= overflow) return sign | infinity;
  uint32_t low = 0, high = infinity;  // widen(low) <= magnitude < widen(high)
  if (widen == bf16_to_f32) {         // whose patterns are the upper halves of f32's: no search needed
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    low = (bits & 0x7fffffffu) >> 16;
    high = low + 1;
  }
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    (widen(static_cast<uint16_t>(middle)) <= magnitude ? low : high) = middle;
  }
  if (high == infinity) return sign | static_cast<uint16_t>(low);
  const double below = magnitude - widen(static_cast<uint16_t>(low));
  const double above = widen(static_cast<uint16_t>(high)) - magnitude;
  const bool up = above < below || (above == below && (high & 1) == 0);
  return sign | static_cast<uint16_t>(up ? high : low);
}

// { to: "f16" | "bf16", begin, end, stride } -> how many bit patterns begin, begin + stride, ... < end of f32 the
// scalar conversion rounds otherwise than nearest_pattern (NaN must stay NaN, quiet, of the same sign)
Napi::Value test_sweep_from_f32(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const bool f16 = string_of(o, "to") == "f16";
  const uint16_t infinity = f16 ? 0x7c00 : 0x7f80, quiet = f16 ? 0x0200 : 0x0040;
  // half an ulp above the largest finite value
  const double overflow = f16 ? 65520.0 : std::ldexp(2.0 - std::ldexp(1.0, -8), 127);
  int64_t wrong = 0;
  const int64_t end = int_of(o, "end"), stride = int_of(o, "stride", 1);  // each look-up makes a JavaScript handle
  for (int64_t bits = int_of(o, "begin"); bits < end; bits += stride) {
    const float value = float_of(static_cast<uint32_t>(bits));
    const uint16_t found = f16 ? f32_to_f16(value) : f32_to_bf16(value);
    if (std::isnan(value))
      wrong += (found & (infinity | quiet)) != (infinity | quiet) || ((found & 0x8000) != 0) != std::signbit(value);
    else
      wrong += found != nearest_pattern(value, f16 ? f16_to_f32 : bf16_to_f32, infinity, overflow);
  }
  return Napi::Number::New(info.Env(), static_cast<double>(wrong));
}
ESP_TEST_EXPORT(sweep_from_f32);

// { begin, end, stride } -> how many bit patterns the scalar f32 -> f16 converts otherwise than the CPU (F16C), NaN
// payloads included; -1 where the CPU has none
Napi::Value test_sweep_f16_hardware(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  if (!cpu_features().avx2) return Napi::Number::New(info.Env(), -1);
#if defined(__x86_64__)
  constexpr int64_t kBlock = 4096;
  float values[kBlock];
  uint16_t expected[kBlock];
  const int64_t end = int_of(o, "end"), stride = int_of(o, "stride", 1);
  int64_t wrong = 0;
  for (int64_t bits = int_of(o, "begin"); bits < end;) {
    for (int64_t i = 0; i < kBlock; ++i, bits += stride)
      values[i] = float_of(static_cast<uint32_t>(bits < end ? bits : 0));
    f32_to_f16_hardware_avx2(values, expected, kBlock);
    for (int64_t i = 0; i < kBlock; ++i) wrong += f32_to_f16(values[i]) != expected[i];
  }
  return Napi::Number::New(info.Env(), static_cast<double>(wrong));
#else
  return Napi::Number::New(info.Env(), -1);
#endif
}
ESP_TEST_EXPORT(sweep_f16_hardware);

}  // namespace
}  // namespace espalier::testing
