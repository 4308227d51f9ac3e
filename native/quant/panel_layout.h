// Where things lie in packed weights. Panels of 16 output rows, n padded to 16 with zeros; within a panel:
//   f32        [k][16] f32                 f16  [k][16] f16          bf16  [k/2][16][2] bf16, k padded to even
//   int8       [k][16] int8                then scale f32 [n padded]
//   int8-w8a8  [k/4][16][4] int8, k padded to 4, then scale f32 [n padded], then sum over k int32 [n padded]
// Scales and sums start 64-byte aligned. The layouts are the same for every ISA, so engines move between machines.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

namespace espalier {

constexpr int64_t kPanel = 16;

// static, not inline: ISA files include this, and a shared copy must not be compiled with their flags.
static inline int64_t ceil_div(int64_t value, int64_t by) { return (value + by - 1) / by; }
static inline int64_t round_up(int64_t value, int64_t by) { return ceil_div(value, by) * by; }
static inline int64_t panel_count(int64_t n) { return ceil_div(n, kPanel); }
static inline size_t align64(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Bytes of one panel.
static inline size_t panel_bytes_f32(int64_t k) { return static_cast<size_t>(k) * kPanel * 4; }
static inline size_t panel_bytes_f16(int64_t k) { return static_cast<size_t>(k) * kPanel * 2; }
static inline size_t panel_bytes_bf16(int64_t k) { return static_cast<size_t>(round_up(k, 2)) * kPanel * 2; }
static inline size_t panel_bytes_int8(int64_t k) { return static_cast<size_t>(k) * kPanel; }
static inline size_t panel_bytes_int8_w8a8(int64_t k) { return static_cast<size_t>(round_up(k, 4)) * kPanel; }

// Byte offsets of what follows the panels.
static inline size_t scale_offset_int8(int64_t n, int64_t k) { return align64(panel_count(n) * panel_bytes_int8(k)); }
static inline size_t scale_offset_int8_w8a8(int64_t n, int64_t k) {
  return align64(panel_count(n) * panel_bytes_int8_w8a8(k));
}
static inline size_t sum_offset_int8_w8a8(int64_t n, int64_t k) {
  return scale_offset_int8_w8a8(n, k) + static_cast<size_t>(panel_count(n)) * kPanel * 4;
}

}  // namespace espalier
