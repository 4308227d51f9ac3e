// What the forward and backward drivers of attention for training share: checks, packed panels.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/arena.h"
#include "core/thread_pool.h"
#include "kernels/attention_train/attention_train.h"
#include "kernels/attention_train/attention_train_tile.h"
#include "kernels/checks.h"
#include "kernels/dispatch.h"

namespace espalier {

inline int thread_count(const CpuContext& context) { return context.pool != nullptr ? context.pool->threads() : 1; }

// nullptr: the reference.
const AttentionTrainTile* attention_train_tile(const CpuContext& context);

inline int64_t train_panels(int64_t length) { return (length + kTrainPanel - 1) / kTrainPanel; }

// Sizes and strides of the inputs both directions have.
template <typename Args>
void check_train_sizes(ArgumentChecks& checks, const Args& args) {
  checks.size("sequences", args.sequences)
      .size("length", args.length)
      .positive("heads", args.heads)
      .positive("kv_heads", args.kv_heads)
      .positive("head_dim", args.head_dim);
  if (!checks.is_ok()) return;
  checks.multiple("heads", args.heads, args.kv_heads)
      .stride("ldq", args.ldq, args.heads * args.head_dim)
      .stride("ldk", args.ldk, args.kv_heads * args.head_dim)
      .stride("ldv", args.ldv, args.kv_heads * args.head_dim)
      .stride("ldo", args.ldo, args.heads * args.head_dim);
}

template <typename Args>
void check_train_pointers(ArgumentChecks& checks, const Args& args) {
  const bool any = args.sequences > 0 && args.length > 0;
  checks.pointer("q", args.q, any)
      .pointer("k", args.k, any)
      .pointer("v", args.v, any)
      .pointer("out", args.out, any)
      .pointer("lse", args.lse, any);
  if (args.document_starts == nullptr) return;
  for (int64_t row = 0; checks.is_ok() && row < args.sequences * args.length; ++row)
    checks.index("document_starts", row, args.document_starts[row], row % args.length + 1);
}

// One (sequence, kv head) with what both directions have.
template <typename Args>
AttentionTrainHead train_head_of(const Args& args, int64_t s, int64_t kv_head, const float* key_panels) {
  const int64_t row = s * args.length, first_head = kv_head * (args.heads / args.kv_heads);
  AttentionTrainHead head{};
  head.q = args.q + row * args.ldq + first_head * args.head_dim;
  head.k = args.k + row * args.ldk + kv_head * args.head_dim;
  head.v = args.v + row * args.ldv + kv_head * args.head_dim;
  head.ldq = args.ldq;
  head.ldk = args.ldk;
  head.ldv = args.ldv;
  head.document_starts = args.document_starts != nullptr ? args.document_starts + row : nullptr;
  head.length = args.length;
  head.head_dim = args.head_dim;
  head.scale = args.scale;
  head.ldo = args.ldo;
  const int64_t panels = train_panels(args.length) * kTrainPanel * args.head_dim;
  head.key_panels = key_panels + (s * args.kv_heads + kv_head) * panels;
  return head;
}

// All rows of k or v [sequences * length, kv_heads * head_dim] -> [sequences, kv_heads, panels, head_dim, panel].
template <typename Args>
void pack_train_panels(const CpuContext& context, const AttentionTrainTile& tile, const Args& args, const float* source,
                       int64_t ld, float* panels) {
  const int64_t count = train_panels(args.length);
  const int64_t panel_floats = kTrainPanel * args.head_dim;
  for_row_ranges(context, args.sequences * args.kv_heads * count, panel_floats, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % count * kTrainPanel, kv_head = i / count % args.kv_heads;
      const int64_t row = i / count / args.kv_heads * args.length + first;
      const int64_t rows = args.length - first < kTrainPanel ? args.length - first : kTrainPanel;
      tile.pack_panel(source + row * ld + kv_head * args.head_dim, ld, rows, args.head_dim, panels + i * panel_floats);
    }
  });
}

}  // namespace espalier
