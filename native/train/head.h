// LossHead: final norm, head and losses of a batch, a chunk of rows at a time, so that logits never take more than a
// chunk. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/logit_loss/logit_loss.h"
#include "train/linear.h"
#include "train/train_decoder.h"

namespace espalier {

class LossHead {
 public:
  LossHead(TrainDecoder* decoder, const std::vector<LossTerm>& terms);
  Status reserve(int64_t max_tokens);
  size_t bytes() const { return memory_.size(); }

  // Reads decoder.output(). Adds to losses; with `backward` also to the gradients of norm and head, and leaves the
  // gradient of the output in decoder.gradient().
  Status run(TrainContext& context, const TrainBatch& batch, bool backward, BatchLosses* losses);

 private:
  Status chunk_losses(TrainContext& context, const int32_t* labels, int64_t rows, bool backward);
  Status chunk_backward(TrainContext& context, const float* hidden, float* dhidden, int64_t rows);

  TrainDecoder* decoder_;
  std::vector<LogitTerm> terms_;
  std::vector<size_t> places_;  // of the terms among all terms of the config
  std::vector<double> sums_;    // of the terms, over the batch
  AlignedBuffer memory_;
  int64_t chunk_rows_ = 0;
  float* normed_ = nullptr;   // [chunk, hidden]
  float* dnormed_ = nullptr;  // [chunk, hidden]
  float* logits_ = nullptr;   // [chunk, vocab]
};

}  // namespace espalier
