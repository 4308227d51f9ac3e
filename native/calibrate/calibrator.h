// Calibrator: runs calibration samples through a model block by block, forward only, in float32, and accumulates
// statistics at taps. Only one block's weights are in memory at a time. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "calibrate/hidden_states.h"
#include "calibrate/statistic.h"
#include "core/thread_pool.h"
#include "train/train_decoder.h"

namespace espalier {

struct TapRequest {
  Tap tap = Tap::kBlockInput;
  std::string statistic;  // of make_statistic
};

struct CalibrationConfig {
  TrainModel model;
  int64_t sequences = 1, length = 1;  // samples, and tokens of each
  int64_t max_batch = 1;              // samples worked on at once
  std::vector<TapRequest> taps;
  std::string states_path;  // "": hidden states are kept in memory
  int32_t threads = 0;      // 0 = default
  Isa isa = Isa::kRef;
};

class Calibrator final : private TapObserver {
 public:
  // ERR_ARGUMENT, ERR_CHECKPOINT_TENSORS, ERR_SHAPE, ERR_OUT_OF_MEMORY, ERR_FILE_WRITE.
  static Status create(CalibrationConfig config, std::unique_ptr<Calibrator>* out);

  // Samples [first, first + count) become their embeddings. tokens [count, length]. ERR_TOKEN_ID.
  Status embed(int64_t first, int64_t count, const int32_t* tokens);
  // Reads the block's weights; statistics begin anew.
  Status begin_block(int64_t layer);
  // Those samples through the block that was begun. Each sample once.
  Status run(int64_t first, int64_t count);

  size_t request_count() const { return config_.taps.size(); }
  int64_t value_count(size_t request) const { return statistics_[request]->count(); }
  void read(size_t request, double* out) const { statistics_[request]->read(out); }

  HiddenStates& states() { return states_; }
  // From any thread: work ends soon with ERR_CANCELLED.
  void cancel() { stop_.store(true); }
  const CalibrationConfig& config() const { return config_; }

 private:
  explicit Calibrator(CalibrationConfig config) : config_(std::move(config)) {}
  Status open();
  Status check_config() const;
  Status check_range(int64_t first, int64_t count) const;
  Status fresh_statistics();
  TrainModel block_model(int64_t layer) const;
  Status tapped(TrainContext& context, const TrainBatch& batch, int64_t layer, Tap tap, const float* x,
                int64_t width) override;
  int64_t sample_values() const { return config_.length * config_.model.spec.hidden_size; }

  CalibrationConfig config_;
  std::atomic<bool> stop_{false};
  std::unique_ptr<ThreadPool> pool_;
  TrainContext context_;
  HiddenStates states_;  // [sequences, length, hidden]
  std::unique_ptr<Parameters> parameters_;
  std::unique_ptr<TrainDecoder> decoder_;  // of one block
  AlignedBuffer activations_;
  AlignedBuffer output_;  // [max_batch, length, hidden]
  std::vector<std::unique_ptr<Statistic>> statistics_;
  const float* block_input_ = nullptr;  // of the batch that runs
};

}  // namespace espalier
