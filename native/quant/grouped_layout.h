// Where things lie in weights packed in groups of columns ("int4-g64", "nf4", ...). Panels of 16 output rows, n padded
// to 16; a panel is a run of groups, a group is
//   scales  [16] f32
//   zeros   [16] f32, in units of codes; asymmetric formats only
//   codes   4 bits: [group / 8][16][4] bytes, byte j of a word = code of k + j | code of k + 4 + j << 4
//           int8:   [group / 4][16][4] bytes, byte j = value of k + j, plus 128
//           fp8:    [group][16] bytes
// so that one stream of bytes is read from front to back, and a word of 4-bit or int8 codes meets four consecutive k of
// x. Columns beyond k have a code that stands for 0, rows beyond n scale 0.
// Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "quant/panel_layout.h"

namespace espalier {

constexpr int64_t kActivationGroup = 32;  // values of x that share a scale; divides every group
constexpr int64_t kGroupedRows = 8;       // rows of x up to which it becomes int8; more become 16-bit integers
constexpr const char* kGroupedActivation = "int8 per 32 values, 16 bits beyond 8 rows";
constexpr const char* kGroupedNf4Activation = "int8 per 32 values, 14 bits beyond 8 rows";

struct GroupedLayout {
  int64_t group;  // columns, a multiple of 32
  int64_t header_bytes, code_bytes, group_bytes;
};

// format_group 0: the whole row is a group. bits: 4 or 8.
static inline GroupedLayout grouped_layout(int64_t format_group, int64_t k, int64_t bits, bool zeros) {
  GroupedLayout layout;
  layout.group = format_group > 0 ? format_group : round_up(k > 0 ? k : 1, kActivationGroup);
  layout.header_bytes = zeros ? 128 : 64;
  layout.code_bytes = layout.group * kPanel * bits / 8;
  layout.group_bytes = layout.header_bytes + layout.code_bytes;
  return layout;
}
static inline int64_t grouped_panel_bytes(const GroupedLayout& layout, int64_t k) {
  return ceil_div(k, layout.group) * layout.group_bytes;
}

}  // namespace espalier
