// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "quant/encode.h"
#include "quant/fp8.h"
#include "quant/nf4.h"

namespace espalier {
namespace {

bool ranges(const float* w, int64_t count, int64_t span, float* low, float* high) {
  bool finite = true;
  for (int64_t begin = 0; begin < count; begin += span, ++low, ++high) {
    *low = *high = 0;
    for (int64_t i = begin; i < std::min(begin + span, count); ++i) {
      *low = std::min(*low, w[i]);
      *high = std::max(*high, w[i]);
      finite = finite && std::isfinite(w[i]);
    }
  }
  return finite;
}

// The clamp comes before the rounding, as in compressed-tensors; both orders give the same.
float rounded(float w, float scale, float zero, float least, float most) {
  const float place = scale == 0 ? zero : w / scale + zero;
  return std::nearbyint(std::clamp(place, least, most));
}

float quotient(float w, float scale) { return scale == 0 ? 0.0f : w / scale; }

int int8_code(float w, float scale, float zero) { return static_cast<int>(rounded(w, scale, zero, -128.0f, 127.0f)); }
int int4_code(float w, float scale, float zero) { return static_cast<int>(rounded(w, scale, zero, -8.0f, 7.0f)) + 8; }
int e4m3_code(float w, float scale, float) { return f32_to_fp8_e4m3(quotient(w, scale)); }
int e5m2_code(float w, float scale, float) { return f32_to_fp8_e5m2(quotient(w, scale)); }
int nf4_code(float w, float scale, float) {
  return block4_code(Block4Type::kNf4, w * (1.0f / std::max(scale, 1e-38f)));
}
int fp4_code(float w, float scale, float) {
  return block4_code(Block4Type::kFp4, w * (1.0f / std::max(scale, 1e-38f)));
}

int e2m1_code(float w, float scale, float) {
  const float value = quotient(w, scale);
  const float x = std::fabs(value);
  // Midpoints; a tie goes to the even code.
  const int index = (x > 0.25f) + (x >= 0.75f) + (x > 1.25f) + (x >= 1.75f) + (x > 2.5f) + (x >= 3.5f) + (x > 5.0f);
  return index | (std::signbit(value) ? 8 : 0);
}

template <int (*kCodeOf)(float w, float scale, float zero)>
void encode(const float* w, int64_t count, int64_t span, const float* scales, const float* zeros, uint8_t* codes) {
  for (int64_t i = 0; i < count; ++i)
    codes[i] = static_cast<uint8_t>(kCodeOf(w[i], scales[i / span], zeros == nullptr ? 0.0f : zeros[i / span]));
}

}  // namespace

const EncodeKernel encode_ref = {"encode_ref",
                                 ranges,
                                 {encode<int8_code>, encode<int4_code>, encode<e4m3_code>, encode<e5m2_code>,
                                  encode<nf4_code>, encode<fp4_code>, encode<e2m1_code>}};

}  // namespace espalier
