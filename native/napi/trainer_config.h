// Reading a trainer's config and batches from JavaScript.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <vector>

#include "napi/arguments.h"
#include "train/train_config.h"

namespace espalier {

// TrainerConfig of src/train/native-trainer.ts. ERR_ARGUMENT names the field.
TrainConfig train_config_of(const Napi::CallbackInfo& info);

// A batch with memory of its own.
struct OwnedBatch {
  std::vector<int32_t> tokens, labels, document_starts, top_ids;
  std::vector<float> top_values, top_log_sum_exp;
  TrainBatch view;
};
// TrainBatch of src/train/native-trainer.ts, of a trainer that takes so many of a teacher's logits a token.
OwnedBatch batch_of(const Napi::CallbackInfo& info, int64_t teacher_top);

// { spec, tensors }. Throws JavaScript errors.
TrainModel train_model_of(const Arguments& args, Napi::Env env);

const char* loss_kind_name(LossKind kind);

}  // namespace espalier
