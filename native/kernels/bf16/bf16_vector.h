// The tile functions of bf16 in terms of Vector; include vector_<isa>.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

inline void vector_pack_bf16(const float* x, uint16_t* out, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store_bf16(out + i, load(x + i));
  if (i == n) return;
  uint16_t last[kLanes];
  store_bf16(last, load_first(x + i, n - i));
  for (int64_t j = 0; j < n - i; ++j) out[i + j] = last[j];
}

inline void vector_unpack_bf16(const uint16_t* x, float* out, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, load_bf16(x + i));
  if (i == n) return;
  uint16_t last[kLanes] = {};
  for (int64_t j = 0; j < n - i; ++j) last[j] = x[i + j];
  store_first(out + i, load_bf16(last), n - i);
}

}  // namespace
}  // namespace espalier
