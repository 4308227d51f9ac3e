// Parameters: the weights of a model in training with their gradients and moments, each kind in one block of memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/thread_pool.h"
#include "train/train_config.h"

namespace espalier {

enum class ParameterPart : int32_t { kWeight, kGradient, kMoment1, kMoment2 };
constexpr int kParameterParts = 4;

// How values are drawn that come from no file.
enum class Draw : int32_t {
  kNormal,  // (0, the config's deviation)
  kOnes,
  kZeros,
  kUniform,  // ±1 / sqrt(cols), as torch.nn.Linear
};

// A parameter beside those of the families table: adapters, projections.
struct ExtraParameter {
  std::string name, role, part;
  int64_t layer, rows, cols;
  Draw draw;
};

struct ParameterOptions {
  bool trainable = true;      // false: nothing is
  bool model_frozen = false;  // only the extra parameters are trained
  bool whole = true;          // false: some of the model's tensors will do
  std::vector<std::string> frozen;
  std::vector<ExtraParameter> extra;
};

struct Parameter {
  TrainTensor tensor;
  Draw draw = Draw::kNormal;
  int64_t rows = 0, cols = 0;  // a vector: [rows, 1]
  bool is_vector = false;
  bool trainable = false;
  bool decays = false;
  float* values[kParameterParts] = {};  // [rows, cols]; all but the weight are nullptr when it is not trainable
  AlignedBuffer mask;                   // bits, see adamw.h; empty: none

  int64_t count() const { return rows * cols; }
  float* weight() const { return values[0]; }
  float* gradient() const { return values[1]; }
  const uint8_t* mask_bits() const { return mask.as<uint8_t>(); }
};

// [rows, cols] of a linear layer inside the layers ("q_proj"). False when the families table has none of that role.
bool layer_linear_shape(const ModelSpec& spec, const std::string& role, int64_t* rows, int64_t* cols);

class Parameters {
 public:
  // Checks the tensors against the families table and reserves memory; gradients and moments are zero, weights are not
  // set. ERR_CHECKPOINT_TENSORS, ERR_SHAPE, ERR_ARGUMENT, ERR_OUT_OF_MEMORY.
  Status create(const TrainModel& model, const ParameterOptions& options);
  // Reads the weights, or draws those without a file.
  Status load(ThreadPool* pool, uint64_t seed, double std_deviation);

  // In the order of the model's tensors.
  std::vector<Parameter>& list() { return list_; }
  const std::vector<Parameter>& list() const { return list_; }
  Parameter* find(const std::string& name);
  // nullptr when the model has none.
  Parameter* find(const char* role, const char* part, int64_t layer);
  size_t bytes(ParameterPart part) const { return blocks_[static_cast<int>(part)].size(); }

 private:
  Status add(const ModelSpec& spec, const TrainTensor& tensor);
  Status add_extra(const ExtraParameter& extra);
  Status insert(Parameter&& parameter);
  Status check_complete(const ModelSpec& spec);
  Status place(int part);

  std::vector<Parameter> list_;
  std::unordered_map<std::string, size_t> by_name_;
  std::unordered_map<std::string, size_t> by_role_;
  AlignedBuffer blocks_[kParameterParts];
};

}  // namespace espalier
