// Decoder: the layer graph of a Llama-like decoder over a backend. One forward call is one step of the scheduler:
// prefill chunks and single decode tokens of several sequences, flattened into one batch of tokens.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "core/status.h"
#include "kernels/rotation/rotation.h"
#include "model/model_spec.h"
#include "model/rope_frequencies.h"

namespace espalier {

// y = x Wᵀ + bias; bias may be nullptr.
struct LinearWeight {
  PackedMatrix matrix;
  const float* bias = nullptr;
};

struct LayerWeights {
  const float* input_layernorm = nullptr;  // [hidden]
  LinearWeight q_proj, k_proj, v_proj, o_proj;
  const float* post_attention_layernorm = nullptr;  // [hidden]
  LinearWeight gate_proj, up_proj, down_proj;
};

// Pointers into memory that outlives the decoder. A tied model's lm_head.matrix equals embed_tokens.
struct DecoderWeights {
  PackedMatrix embed_tokens;
  std::vector<LayerWeights> layers;
  const float* norm = nullptr;  // [hidden]
  LinearWeight lm_head;
  // The residual stream is kept rotated (kernels/rotation): the layers' weights were packed for it, embed_tokens and
  // lm_head were not.
  bool rotated = false;
};

// Where one layer's keys and values live, for every layer: see kv_append.h.
struct KvCachePool {
  char* base = nullptr;
  int64_t page_stride_bytes = 0;   // all layers of one page
  int64_t layer_stride_bytes = 0;  // keys and values of one layer in a page
  int64_t value_offset_bytes = 0;  // from a layer's keys to its values
  KvDType dtype = KvDType::kF32;
  const float* scales = nullptr;  // fixed ones [layers][2: keys, values][kv_heads]; nullptr: see KvAppendArgs
};

// One sequence's tokens of a step.
struct StepSequence {
  const int32_t* ids;  // [count]
  int64_t count;
  int64_t position;      // of ids[0]
  int64_t rope_length;   // length that dynamic rotary scaling sees
  const int32_t* pages;  // enough for position + count tokens
};

class Decoder {
 public:
  Decoder(const Backend* backend, void* device, const ModelSpec& spec, DecoderWeights weights);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // Runs all layers over the step's tokens and appends their keys and values. ERR_CANCELLED when *stop turns true
  // between layers: the cache then holds part of the step, which the caller must not count.
  // What one page holds of all layers, into another page. Not while a step runs.
  Status copy_page(const KvCachePool& pool, int32_t from, int32_t to);
  Status forward(const std::vector<StepSequence>& step, const KvCachePool& pool, const std::atomic<bool>* stop);

  // Logits of `count` tokens of the last forward, by their row in the flattened step: out [count, vocab] f32.
  Status logits(const int64_t* rows, int64_t count, float* out);

  const ModelSpec& spec() const { return spec_; }
  const RopeFrequencies& rope() const { return rope_; }
  size_t workspace_bytes() const { return capacity_bytes_; }

 private:
  // Device buffers of a step of `tokens` tokens, carved from one block.
  struct Buffers {
    float *x, *normed, *q, *k, *v, *activation;  // [tokens, hidden | hidden | heads*d | kv*d | kv*d | ffn]
    float *cos, *sin;                            // [tokens, half]
    int32_t *ids, *rows;                         // [tokens]
    char* workspace;
    size_t workspace_bytes;
  };
  Status reserve(const std::vector<StepSequence>& step, int64_t tokens, const KvCachePool& pool);
  size_t op_workspace(const std::vector<StepSequence>& step, int64_t tokens, const KvCachePool& pool) const;
  Status load_inputs(const std::vector<StepSequence>& step);
  Status attention_block(const LayerWeights& layer, int64_t index, const std::vector<StepSequence>& step,
                         const KvCachePool& pool, int64_t tokens);
  Status mlp_block(const LayerWeights& layer, int64_t tokens);
  Status rotate(const float* x, float* out, int64_t tokens, bool inverse);
  Status norm(const float* weight, const float* x, float* out, int64_t tokens);
  Status linear(const LinearWeight& weight, const float* x, int64_t ldx, float* out, int64_t ldo, int64_t tokens,
                MatmulEpilogue epilogue);
  KvCacheView cache_of_layer(const KvCachePool& pool, int64_t layer) const;

  const Backend* backend_;
  void* device_;
  ModelSpec spec_;
  DecoderWeights weights_;
  RopeFrequencies rope_;
  Rotation rotation_;
  std::vector<AttentionSequence> attention_sequences_;
  Buffers buffers_{};
  void* block_ = nullptr;
  size_t capacity_bytes_ = 0;
};

}  // namespace espalier
