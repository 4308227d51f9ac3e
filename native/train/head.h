// LossHead: final norm, head and losses of a batch, a chunk of rows at a time, so that logits never take more than a
// chunk. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/logit_loss/logit_loss.h"
#include "train/linear.h"
#include "train/train_decoder.h"

namespace espalier {

// top: values a token; ids, values [tokens, top]; log_sum_exp [tokens]
struct TopLogits {
  int64_t top = 0;
  int32_t* ids = nullptr;
  float* values = nullptr;
  float* log_sum_exp = nullptr;
};

class LossHead {
 public:
  // teacher: nullptr when no term needs its logits, or batches bring teacher_top of them.
  LossHead(TrainDecoder* decoder, TrainDecoder* teacher, const std::vector<LossTerm>& terms, int64_t teacher_top);
  Status reserve(int64_t max_tokens);
  size_t bytes() const { return memory_.size(); }

  // Reads the output of decoder and teacher. Sets the losses' tokens, and the sums of its terms; with `backward` adds
  // to the gradients of norm and head, and leaves the gradient of the output in decoder.gradient().
  Status run(TrainContext& context, const TrainBatch& batch, bool backward, BatchLosses* losses);

  // The largest logits after every token of the batch whose forward pass was run; see kernels/top_logits.
  Status top_logits(TrainContext& context, const TrainBatch& batch, const TopLogits& out);

 private:
  // Rows [begin, begin + rows) of the batch.
  Status chunk_logits(TrainContext& context, TrainDecoder& model, int64_t begin, int64_t rows, float* normed,
                      float* logits);
  Status chunk_losses(TrainContext& context, const TrainBatch& batch, int64_t begin, int64_t rows, bool backward);
  Status chunk_backward(TrainContext& context, const float* hidden, float* dhidden, int64_t rows);

  TrainDecoder* decoder_;
  TrainDecoder* teacher_;
  int64_t teacher_top_;
  std::vector<LogitTerm> terms_;
  std::vector<size_t> places_;  // of the terms among all terms of the config
  std::vector<double> sums_;    // of the terms, over the batch
  AlignedBuffer memory_;
  int64_t chunk_rows_ = 0;
  float* normed_ = nullptr;          // [chunk, hidden]
  float* dnormed_ = nullptr;         // [chunk, hidden]
  float* logits_ = nullptr;          // [chunk, vocab], also its gradient
  float* teacher_normed_ = nullptr;  // [chunk, teacher's hidden]
  float* teacher_logits_ = nullptr;  // [chunk, vocab]
};

}  // namespace espalier
