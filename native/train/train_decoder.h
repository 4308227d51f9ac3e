// TrainDecoder: forward and backward of a Llama-like decoder over whole rows of a batch, from tokens to the output of
// the last block. The final norm, the head and the losses are in train/head.h. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "model/rope_frequencies.h"
#include "train/linear.h"

namespace espalier {

struct TrainLayer {
  Parameter* input_layernorm = nullptr;
  TrainLinear qkv, o_proj;
  Parameter* post_attention_layernorm = nullptr;
  TrainLinear gate_up, down_proj;
};

// What a block keeps for its backward pass; the norms' and the gating's outputs are computed again.
struct BlockActivations {
  float* qkv;        // [tokens, q + 2 kv], q and k rotated
  float* attention;  // [tokens, q]
  float* lse;        // [sequences, heads, length]
  float* middle;     // [tokens, hidden] residual stream after attention
  float* gate_up;    // [tokens, 2 ffn]
};

class TrainDecoder {
 public:
  // The parameters must outlive the decoder.
  TrainDecoder(const ModelSpec& spec, Parameters* parameters);

  // Memory for batches of up to max_sequences x length tokens. backward false: activations are not kept.
  Status reserve(int64_t max_sequences, int64_t length, bool backward);
  size_t activation_bytes() const { return activations_.size(); }

  // Leaves the output of the last block in output(). keep: for a backward pass.
  Status forward(TrainContext& context, const TrainBatch& batch, bool keep);
  // [tokens, hidden]: the last block's output.
  float* output() { return hidden_.back(); }
  // [tokens, hidden]: where the gradient of output() goes before backward().
  float* gradient() { return dhidden_; }
  // Adds to the gradients of the parameters.
  Status backward(TrainContext& context, const TrainBatch& batch);

  const ModelSpec& spec() const { return spec_; }
  Parameter* embedding() { return embedding_; }
  Parameter* norm() { return norm_; }
  const TrainLinear& lm_head() const { return lm_head_; }

 private:
  size_t carve(Arena arena, int64_t max_sequences, int64_t length, bool backward);
  void fill_positions(const TrainBatch& batch);
  void embed(TrainContext& context, const TrainBatch& batch);
  Status norm_forward(TrainContext& context, const Parameter* weight, const float* x, float* out, int64_t tokens);
  Status norm_backward(TrainContext& context, Parameter* weight, const float* x, float* dnormed, int64_t tokens);
  Status rotate(TrainContext& context, float* qkv, int64_t tokens, bool inverse);
  Status block_forward(TrainContext& context, const TrainLayer& layer, const BlockActivations& kept, const float* in,
                       float* out, const TrainBatch& batch);
  Status attention_forward(TrainContext& context, const BlockActivations& kept, const TrainBatch& batch);
  Status block_backward(TrainContext& context, const TrainLayer& layer, const BlockActivations& kept, const float* in,
                        const TrainBatch& batch);
  Status mlp_backward(TrainContext& context, const TrainLayer& layer, const BlockActivations& kept, int64_t tokens);
  Status attention_backward(TrainContext& context, const TrainLayer& layer, const BlockActivations& kept,
                            const float* in, const TrainBatch& batch);

  ModelSpec spec_;
  int64_t q_width_, kv_width_, qkv_width_;
  RopeFrequencies rope_;
  int64_t rope_length_ = 0;  // that the tables were filled for; 0: not yet
  int64_t max_length_ = 0;

  Parameter* embedding_;
  Parameter* norm_;
  std::vector<TrainLayer> layers_;
  TrainLinear lm_head_;

  AlignedBuffer activations_;
  std::vector<float*> hidden_;            // [layers + 1] residual stream before each block, and after the last
  std::vector<BlockActivations> blocks_;  // [layers]
  float* dhidden_ = nullptr;              // [tokens, hidden]
  float* normed_ = nullptr;               // [tokens, hidden], also its gradient
  float* gated_ = nullptr;                // [tokens, ffn], also its gradient
  float* dqkv_ = nullptr;                 // [tokens, q + 2 kv]
  float* dattention_ = nullptr;           // [tokens, q]
  int32_t* positions_ = nullptr;          // [tokens] row of the tables
  float *cos_ = nullptr, *sin_ = nullptr, *minus_sin_ = nullptr;  // [length, half]
};

}  // namespace espalier
