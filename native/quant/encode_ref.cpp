// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "quant/encode.h"
#include "quant/fp8.h"
#include "quant/nf4.h"

namespace espalier {
namespace {

bool range(const float* w, int64_t count, float* low, float* high) {
  float least = 0, most = 0;
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) {
    least = std::min(least, w[i]);
    most = std::max(most, w[i]);
    finite = finite && std::isfinite(w[i]);
  }
  *low = least;
  *high = most;
  return finite;
}

// The clamp comes before the rounding, as in compressed-tensors; both orders give the same.
float rounded(float w, float scale, float zero, float least, float most) {
  const float place = scale == 0 ? zero : w / scale + zero;
  return std::nearbyint(std::clamp(place, least, most));
}

void encode_int8(const float* w, int64_t count, float scale, float zero, uint8_t* codes) {
  for (int64_t i = 0; i < count; ++i)
    codes[i] = static_cast<uint8_t>(static_cast<int8_t>(rounded(w[i], scale, zero, -128.0f, 127.0f)));
}

void encode_int4(const float* w, int64_t count, float scale, float zero, uint8_t* codes) {
  for (int64_t i = 0; i < count; ++i)
    codes[i] = static_cast<uint8_t>(static_cast<int>(rounded(w[i], scale, zero, -8.0f, 7.0f)) + 8);
}

void encode_e4m3(const float* w, int64_t count, float scale, float, uint8_t* codes) {
  for (int64_t i = 0; i < count; ++i) codes[i] = f32_to_fp8_e4m3(scale == 0 ? 0.0f : w[i] / scale);
}

void encode_e5m2(const float* w, int64_t count, float scale, float, uint8_t* codes) {
  for (int64_t i = 0; i < count; ++i) codes[i] = f32_to_fp8_e5m2(scale == 0 ? 0.0f : w[i] / scale);
}

template <Block4Type kType>
void encode_block4(const float* w, int64_t count, float scale, float, uint8_t* codes) {
  const float inverse = 1.0f / std::max(scale, 1e-38f);
  for (int64_t i = 0; i < count; ++i) codes[i] = block4_code(kType, w[i] * inverse);
}

void encode_e2m1(const float* w, int64_t count, float scale, float, uint8_t* codes) {
  for (int64_t i = 0; i < count; ++i) {
    const float value = scale == 0 ? 0.0f : w[i] / scale;
    const float x = std::fabs(value);
    // Midpoints; a tie goes to the even code.
    const int index = (x > 0.25f) + (x >= 0.75f) + (x > 1.25f) + (x >= 1.75f) + (x > 2.5f) + (x >= 3.5f) + (x > 5.0f);
    codes[i] = static_cast<uint8_t>(index | (std::signbit(value) ? 8 : 0));
  }
}

}  // namespace

const EncodeKernel encode_ref = {"encode_ref",
                                 range,
                                 {encode_int8, encode_int4, encode_e4m3, encode_e5m2, encode_block4<Block4Type::kNf4>,
                                  encode_block4<Block4Type::kFp4>, encode_e2m1}};

}  // namespace espalier
