// The serial pieces of attention for training. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

constexpr int64_t kTrainQueryBlock = 48;  // queries of one head at a time: a multiple of 12 and 6 (register blocks)
// Keys of one block: multiples of the panel, and backward of the query block. Long blocks spread what is done once a
// row.
constexpr int64_t kTrainForwardKeys = 384;
constexpr int64_t kTrainBackwardKeys = 192;
constexpr int64_t kTrainMostBlockRows = 12;  // of the register blocks
constexpr int64_t kTrainPanel = 16;          // keys interleaved in a panel

// head_dim rounded up to whole vectors of every ISA.
static inline constexpr int64_t train_padded_dim(int64_t head_dim) { return (head_dim + 15) / 16 * 16; }

// What one thread needs, f32. padded = train_padded_dim(head_dim). Rows padded with zeros are needed only when head_dim
// is not whole vectors.
struct AttentionForwardScratch {
  float* probabilities;  // [register block, forward keys]
  float* query_tiles;    // [query block / register block][head_dim][register block], scaled
  float* values;         // [forward keys, padded]
  float* accumulators;   // [query block, padded]
  float* maxima;         // [query block]
  float* sums;           // [query block]
};
struct AttentionBackwardScratch {
  float* probabilities;  // [query block, backward keys]; P
  float* gradients;      // [query block, backward keys]; dP, then dS
  float* query_tiles;    // [query block / register block][head_dim][register block]
  float* dout_tiles;     // the same
  float* queries;        // [query block, padded]
  float* douts;          // [query block, padded]
  float* keys;           // [backward keys, padded]
  float* query_sums;     // [query block, padded]; dQ
  float* key_sums;       // [backward keys, padded]; dK
  float* value_sums;     // [backward keys, padded]; dV
};

// One (sequence, kv head): pointers stand at row 0 of the sequence. Head h of the group lies h * head_dim further in
// q, out, dout and dq, and h * length further in lse and deltas.
struct AttentionTrainHead {
  const float *q, *k, *v;
  int64_t ldq, ldk, ldv;
  const int32_t* document_starts;  // [length] or nullptr
  int64_t length, head_dim;
  float scale;
  const float* key_panels;    // [ceil(length / panel)][head_dim][panel], zeros behind the last key
  const float* value_panels;  // the same; backward only
  float* out;                 // forward only
  int64_t ldo;
  float* lse;  // read by backward
  // backward only
  const float* dout;
  int64_t lddo;
  const float* deltas;  // Σ dout out of every row
  float *dq, *dk, *dv;
  int64_t lddq, lddk, lddv;
};

// Which gradients a call of `backward` computes, and over what. dk and dv of the keys of the range, summed over all
// queries and heads [0, group) (they are complete when the call returns); dq of the queries of the range and heads
// [head_begin, head_end), complete when the range of keys holds all that they see. dq is added to, dk and dv stored.
struct AttentionBackwardRange {
  int64_t key_begin, key_end;      // key_begin is a multiple of the backward keys
  int64_t query_begin, query_end;  // query_begin is a multiple of the query block
  int64_t head_begin, head_end;
  bool key_gradients, query_gradients;
};

struct AttentionTrainTile {
  // `count` (1 .. panel) rows of source [count, head_dim] -> panel [head_dim][panel], zeros behind.
  void (*pack_panel)(const float* source, int64_t ld, int64_t count, int64_t head_dim, float* panel);
  // Queries [query_begin, query_begin + query block) of head `head` of the group.
  void (*forward)(const AttentionTrainHead& group, int64_t head, int64_t query_begin,
                  const AttentionForwardScratch& scratch);
  void (*backward)(const AttentionTrainHead& group, const AttentionBackwardRange& range,
                   const AttentionBackwardScratch& scratch);
  float (*dot)(const float* a, const float* b, int64_t n);
};

extern const AttentionTrainTile attention_train_tile_avx2;
extern const AttentionTrainTile attention_train_tile_avx512;

}  // namespace espalier
