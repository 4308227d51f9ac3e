// Trainer: a model in training. Used by one thread at a time; every call runs to its end.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "train/gradient_sums.h"
#include "train/head.h"
#include "train/hidden_terms.h"
#include "train/train_config.h"
#include "train/train_decoder.h"

namespace espalier {

class Trainer {
 public:
  // Checks the config and reserves all memory. ERR_MODEL_CONFIG, ERR_CHECKPOINT_TENSORS, ERR_SHAPE, ERR_ARGUMENT,
  // ERR_OUT_OF_MEMORY, ERR_THREADS.
  static Status create(TrainConfig config, std::unique_ptr<Trainer>* out);
  // Reads or draws the weights. Before any other call.
  Status load();

  // Forward and backward; adds to the gradients. ERR_SHAPE, ERR_TOKEN_ID, ERR_ARGUMENT.
  Status accumulate(const TrainBatch& batch, BatchLosses* losses);
  // Forward only.
  Status evaluate(const TrainBatch& batch, BatchLosses* losses);
  // Forward only: the largest logits after every token. ERR_NUMERIC besides.
  Status top_logits(const TrainBatch& batch, const TopLogits& out);
  // Clips, applies AdamW, zeroes the gradients. Gradients that are not finite change nothing else: skipped.
  Status update(const UpdateOptions& options, UpdateResult* result);

  // `count` values of a parameter. ERR_ARGUMENT: no such parameter, frozen, another count.
  Status read(const std::string& name, ParameterPart part, float* out, int64_t count);
  Status write(const std::string& name, ParameterPart part, const float* values, int64_t count);
  // With adapters: the weight they amount to; otherwise the weight.
  Status merged(const std::string& name, float* out, int64_t count);
  // What set_mask would refuse; bytes -1: no mask.
  Status check_mask(const std::string& name, int64_t bytes);
  // A bit per weight, lowest first, nullptr: none. Weights and moments become zero where it is 0 and stay so.
  Status set_mask(const std::string& name, const uint8_t* bits, int64_t bytes);

  // Products use the weight as the hook gives it. An empty hook: as it is.
  Status set_weight_hook(const std::string& name, const WeightHook& hook);

  // From any thread: the call that runs, and all after it, may end with ERR_CANCELLED; gradients are then of no use.
  void cancel() { stop_.store(true); }

  Parameters& parameters() { return parameters_; }
  const TrainConfig& config() const { return config_; }
  // Name and bytes.
  std::vector<std::pair<const char*, size_t>> memory() const;
  // Updates applied so far.
  std::atomic<int64_t> step{0};

 private:
  explicit Trainer(TrainConfig config) : config_(std::move(config)) {}
  Status open();
  Status start_threads();
  Status open_models();
  Status reserve_activations();
  Status check_skip(const TrainBatch& batch, bool backward) const;
  Status check_batch(const TrainBatch& batch) const;
  Status check_top_logits(const TrainBatch& batch) const;
  Status run(const TrainBatch& batch, bool backward, BatchLosses* losses);
  // Adds the logit terms to the total, and those of hidden states.
  void weigh_losses(BatchLosses* losses);
  Status find(const std::string& name, ParameterPart part, int64_t count, Parameter** out);
  Status gradient_norm(double* norm);
  void zero_gradients();

  TrainConfig config_;
  std::atomic<bool> stop_{false};
  std::unique_ptr<ThreadPool> pool_;
  TrainContext context_;
  Parameters parameters_, teacher_parameters_;
  AlignedBuffer activations_;          // of the student; the teacher works there before the student does
  AlignedBuffer teacher_activations_;  // what the teacher leaves for the losses
  std::unique_ptr<TrainDecoder> decoder_;
  std::unique_ptr<TrainDecoder> teacher_;  // nullptr: none
  std::unique_ptr<LossHead> head_;
  std::unique_ptr<TeacherStates> teacher_states_;  // nullptr: no hidden terms
  std::unique_ptr<HiddenTerms> hidden_terms_;      // nullptr: none
  std::unique_ptr<GradientSums> sums_;             // nullptr: one process
};

}  // namespace espalier
