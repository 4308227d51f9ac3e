// What a trainer is made from and what goes in and out of a step; src/train/native-trainer.ts documents each field.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/isa.h"
#include "core/mapped_file.h"
#include "model/model_spec.h"
#include "model/tensor_source.h"

namespace espalier {

struct TrainTensor {
  std::string name;  // "model.layers.0.self_attn.q_proj.weight"
  std::string role;  // of the families table
  std::string part;  // "weight" | "bias"
  int64_t layer = -1;
  std::shared_ptr<const MappedFile> file;  // nullptr: values are drawn
  TensorSource source{};
};

struct TrainModel {
  ModelSpec spec;
  std::vector<TrainTensor> tensors;
};

enum class LossKind : int32_t {
  kCrossEntropy,
  kKl,
  kReverseKl,
  kJsd,
  kLogitsMse,
  kLogitsCosine,
  kMft,
  kKlTail,
  kHiddenMse,
  kHiddenCosine,
  kHiddenSquarehead,
};
inline bool is_hidden_loss(LossKind kind) { return kind >= LossKind::kHiddenMse; }

struct LossTerm {
  LossKind kind = LossKind::kCrossEntropy;
  double weight = 1.0;
  double temperature = 1.0;
  int64_t top_k = 0;                                // 0: the whole vocabulary
  double beta = 0.5;                                // kJsd: weight of the teacher in the mixture
  double threshold = 0.2;                           // kMft: of the label correction
  std::vector<std::pair<int64_t, int64_t>> layers;  // hidden terms: student, teacher; -1 the embedding
  bool dynamic_weight = false;
};

struct LoraConfig {
  int64_t rank = 0;  // 0: no adapters
  double alpha = 1.0;
  std::vector<std::string> targets;  // roles
};

struct TrainConfig {
  TrainModel model;
  bool has_teacher = false;
  TrainModel teacher;       // forward only
  int64_t teacher_top = 0;  // batches bring so many of a teacher's largest logits a token; 0: none
  std::vector<LossTerm> losses;
  int64_t max_sequences = 1, sequence_length = 1;
  bool activation_checkpointing = false;
  bool bf16_activations = false;
  LoraConfig lora;
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  std::vector<std::string> frozen;
  uint64_t init_seed = 0;
  double init_std = 0.02;
  bool forward_only = false;   // evaluate() only: no gradients, moments or kept activations
  bool data_parallel = false;  // gradients are summed over the ranks of an MPI run
  int32_t threads = 0;         // 0 = default
  Isa isa = Isa::kRef;
};

// tokens, labels, document_starts [sequences, length]; document_starts may be nullptr
struct TrainBatch {
  int64_t sequences = 0, length = 0;
  const int32_t* tokens = nullptr;
  const int32_t* labels = nullptr;
  const int32_t* document_starts = nullptr;
  const int32_t* top_ids = nullptr;        // [sequences, length, teacher_top], best first
  const float* top_values = nullptr;       // likewise: their logits
  const float* top_log_sum_exp = nullptr;  // [sequences, length]; for kKlTail
  int64_t skip_begin = 0, skip_end = 0;    // layers [begin, end) are left out; forward-only trainers
  bool last = false;                       // of its update: data-parallel sums may start as gradients become complete
  int64_t token_count() const { return sequences * length; }
};

struct BatchLosses {
  int64_t tokens = 0;        // labels that count
  std::vector<double> sums;  // per term of the config, unweighted
  double total = 0;          // weighted
};

struct UpdateOptions {
  int64_t tokens = 0;
  double learning_rate = 0, weight_decay = 0, max_grad_norm = 0;
};

struct UpdateResult {
  double grad_norm = 0;
  bool skipped = false;
};

}  // namespace espalier
