// TrainDecoder: forward and backward of a Llama-like decoder over whole rows of a batch, from tokens to the output of
// the last block. The final norm, the head and the losses are in train/head.h. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/rope_frequencies.h"
#include "train/activations.h"
#include "train/linear.h"

namespace espalier {

struct TrainLayer {
  Parameter* input_layernorm = nullptr;
  TrainLinear qkv, o_proj;
  Parameter* post_attention_layernorm = nullptr;
  TrainLinear gate_up, down_proj;
};

// Sees the residual stream after each block; layer -1 is the output of the embedding.
class HiddenObserver {
 public:
  virtual ~HiddenObserver() = default;
  // hidden [tokens, hidden]
  virtual Status seen(TrainContext& context, const TrainBatch& batch, int64_t layer, const float* hidden) = 0;
  // dhidden [tokens, hidden]: the gradient of what was seen may be added. Last layer first.
  virtual Status add_gradient(TrainContext& context, const TrainBatch& batch, int64_t layer, const float* hidden,
                              float* dhidden) = 0;
};

// What a block computes on its way. Each has the name of the layer it goes into, but for the ends of the block.
enum class Tap : int32_t {
  kBlockInput,       // residual stream
  kAttentionInput,   // of q_proj, k_proj, v_proj: the norm's output
  kAttentionOutput,  // of o_proj: what the heads gathered
  kMlpInput,         // of gate_proj, up_proj: the norm's output
  kMlpProduct,       // of down_proj: activated gate times up
  kBlockOutput,      // residual stream
};

// Sees what goes through the taps of a forward pass, in the order of Tap.
class TapObserver {
 public:
  virtual ~TapObserver() = default;
  // x [tokens, width]
  virtual Status tapped(TrainContext& context, const TrainBatch& batch, int64_t layer, Tap tap, const float* x,
                        int64_t width) = 0;
};

class TrainDecoder {
 public:
  // The parameters must outlive the decoder. lora_scale: alpha / rank of the adapters among the parameters.
  TrainDecoder(const ModelSpec& spec, Parameters* parameters, ActivationOptions options, float lora_scale);

  // Takes memory for batches of up to max_sequences x length tokens; nothing in `work` is needed between a forward pass
  // without a backward pass and the next.
  void carve(Arena& own, Arena& work, int64_t max_sequences, int64_t length);

  // One block alone: in [tokens, hidden] becomes out, which is not in. Needs the block's parameters only.
  Status block(TrainContext& context, const TrainBatch& batch, int64_t index, const float* in, float* out);
  // nullptr: nobody.
  void set_taps(TapObserver* taps) { taps_ = taps; }

  // Leaves the output of the last block in output(). keep: for a backward pass.
  Status forward(TrainContext& context, const TrainBatch& batch, bool keep, HiddenObserver* observer);
  // [tokens, hidden]: the last block's output.
  float* output() { return activations_.hidden(spec_.num_layers); }
  // [tokens, hidden]: where the gradient of output() goes before backward().
  float* gradient() { return dhidden_; }
  // Adds to the gradients of the parameters. Ends at the lowest block that has anything to train, unless `whole`.
  Status backward(TrainContext& context, const TrainBatch& batch, bool whole, HiddenObserver* observer);

  const ModelSpec& spec() const { return spec_; }
  Parameter* norm() { return norm_; }
  const TrainLinear& lm_head() const { return lm_head_; }
  // The part of a linear layer that has this weight; nullptr when there is none.
  LinearPart* find_part(const Parameter* weight);

 private:
  void add_part(TrainLinear& linear, Parameters* parameters, const std::string& role, int64_t layer, float lora_scale);
  void fill_positions(const TrainBatch& batch);
  void embed(TrainContext& context, const TrainBatch& batch);
  Status norm_forward(TrainContext& context, const Parameter* weight, const float* x, float* out, int64_t tokens);
  Status norm_backward(TrainContext& context, Parameter* weight, const float* x, float* dnormed, int64_t tokens);
  Status rotate(TrainContext& context, float* qkv, int64_t tokens, bool inverse);
  Status tap(TrainContext& context, const TrainBatch& batch, int64_t index, Tap which, const float* x, int64_t width) {
    return taps_ != nullptr ? taps_->tapped(context, batch, index, which, x, width) : Status::ok();
  }
  // All of a block that its backward pass needs.
  Status block_body(TrainContext& context, int64_t index, const float* in, const TrainBatch& batch);
  Status block_output(TrainContext& context, int64_t index, float* out, const TrainBatch& batch);
  Status attention_forward(TrainContext& context, const BlockActivations& kept, const TrainBatch& batch);
  Status block_backward(TrainContext& context, int64_t index, const TrainBatch& batch);
  Status mlp_backward(TrainContext& context, const TrainLayer& layer, const BlockActivations& kept, int64_t tokens);
  Status attention_backward(TrainContext& context, const TrainLayer& layer, const BlockActivations& kept,
                            const float* in, const TrainBatch& batch);
  int64_t lowest_trainable() const;

  ModelSpec spec_;
  int64_t q_width_, kv_width_, qkv_width_;
  ActivationOptions options_;
  RopeFrequencies rope_;
  int64_t rope_length_ = 0;  // that the tables were filled for; 0: not yet
  int64_t max_length_ = 0;

  Parameter* embedding_;
  Parameter* norm_;
  std::vector<TrainLayer> layers_;
  TrainLinear lm_head_;
  TapObserver* taps_ = nullptr;

  Activations activations_;
  float* dhidden_ = nullptr;                                      // [tokens, hidden]
  float* normed_ = nullptr;                                       // [tokens, hidden], also its gradient
  float* gated_ = nullptr;                                        // [tokens, ffn], also its gradient
  float* dqkv_ = nullptr;                                         // [tokens, q + 2 kv]
  float* dattention_ = nullptr;                                   // [tokens, q]
  int32_t* positions_ = nullptr;                                  // [tokens] row of the tables
  float *cos_ = nullptr, *sin_ = nullptr, *minus_sin_ = nullptr;  // [length, half]
};

}  // namespace espalier
