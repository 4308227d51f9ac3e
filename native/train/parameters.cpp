// SPDX-License-Identifier: Apache-2.0
#include "train/parameters.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>

#include "core/rng.h"
#include "model/family.h"

namespace espalier {
namespace {

// Weights (and biases) that stand one below the other in memory, so that one product computes them all.
const std::vector<std::vector<const char*>> kFused = {{"q_proj", "k_proj", "v_proj"}, {"gate_proj", "up_proj"}};
constexpr int64_t kAlignFloats = 16;

std::string role_key(const std::string& role, const std::string& part, int64_t layer) {
  return std::to_string(layer) + "/" + role + "." + part;
}

int64_t size_of(const ModelSpec& spec, Dim dim) {
  switch (dim) {
    case Dim::kVocab:
      return spec.vocab_size;
    case Dim::kHidden:
      return spec.hidden_size;
    case Dim::kFfn:
      return spec.intermediate_size;
    case Dim::kHeads:
      return spec.num_heads * spec.head_dim;
    case Dim::kKvHeads:
      return spec.num_kv_heads * spec.head_dim;
    case Dim::kNone:
      break;
  }
  return 1;
}

const TensorPattern* pattern_of(const std::string& role, const std::string& part) {
  for (const Family& family : families())
    for (const TensorPattern& pattern : family.tensors)
      if (role == pattern.role && part == pattern.part) return &pattern;
  return nullptr;
}

bool in_layers(const TensorPattern& pattern) { return std::string(pattern.name).find("{layer}") != std::string::npos; }

const std::vector<const char*>* fused_with(const std::string& role) {
  for (const auto& group : kFused)
    for (const char* member : group)
      if (role == member) return &group;
  return nullptr;
}

Status bad_tensor(const TrainTensor& tensor, const std::string& what) {
  return Status("ERR_CHECKPOINT_TENSORS", tensor.name + ": " + what);
}

uint64_t hash_of(const std::string& text) {  // FNV-1a
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const char letter : text) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3ull;
  return hash;
}

// Box and Muller, two draws at a time. Every tensor has a stream of its own: its values depend on nothing else.
void draw_normal(uint64_t seed, double std_deviation, float* out, int64_t count) {
  constexpr double kTwoPi = 6.283185307179586476925;
  Rng rng(seed);
  for (int64_t i = 0; i < count; i += 2) {
    const double radius = std_deviation * std::sqrt(-2.0 * std::log(1.0 - rng.uniform()));
    const double angle = kTwoPi * rng.uniform();
    out[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < count) out[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
}

void draw_values(uint64_t seed, double std_deviation, const Parameter& parameter) {
  const int64_t count = parameter.count();
  if (parameter.draw == Draw::kNormal) return draw_normal(seed, std_deviation, parameter.weight(), count);
  const double bound = 1.0 / std::sqrt(static_cast<double>(parameter.cols));
  Rng rng(seed);
  for (int64_t i = 0; i < count; ++i)
    parameter.weight()[i] = parameter.draw == Draw::kUniform ? static_cast<float>(bound * (2.0 * rng.uniform() - 1.0))
                                                             : (parameter.draw == Draw::kOnes ? 1.0f : 0.0f);
}

Status read_weights(const Parameter& parameter) {
  const TensorSource& source = parameter.tensor.source;
  ESP_RETURN_IF_ERROR(read_tensor_f32(*parameter.tensor.file, source, 0, source.rows, parameter.weight()));
  for (int64_t i = 0; i < parameter.count(); ++i)
    if (!std::isfinite(parameter.weight()[i]))
      return Status("ERR_WEIGHT_VALUE",
                    format_text("%s: element %lld: expected a finite value, found %g", parameter.tensor.name.c_str(),
                                static_cast<long long>(i), static_cast<double>(parameter.weight()[i])));
  return Status::ok();
}

}  // namespace

bool layer_linear_shape(const ModelSpec& spec, const std::string& role, int64_t* rows, int64_t* cols) {
  const TensorPattern* pattern = pattern_of(role, "weight");
  if (pattern == nullptr || !pattern->linear || !in_layers(*pattern)) return false;
  *rows = size_of(spec, pattern->rows);
  *cols = size_of(spec, pattern->cols);
  return true;
}

Status Parameters::add(const ModelSpec& spec, const TrainTensor& tensor) {
  const TensorPattern* pattern = pattern_of(tensor.role, tensor.part);
  if (pattern == nullptr) return bad_tensor(tensor, "no family has a " + tensor.role + "." + tensor.part);
  const bool layer_fits =
      in_layers(*pattern) ? tensor.layer >= 0 && tensor.layer < spec.num_layers : tensor.layer == -1;
  if (!layer_fits)
    return bad_tensor(tensor, format_text("layer %lld does not exist", static_cast<long long>(tensor.layer)));
  Parameter parameter;
  parameter.tensor = tensor;
  parameter.rows = size_of(spec, pattern->rows);
  parameter.cols = size_of(spec, pattern->cols);
  parameter.is_vector = pattern->cols == Dim::kNone;
  parameter.decays = !parameter.is_vector;
  if (tensor.file != nullptr) {
    ESP_RETURN_IF_ERROR(check_tensor_source(*tensor.file, tensor.source));
    const int64_t rows = parameter.is_vector ? 1 : parameter.rows;
    const int64_t cols = parameter.is_vector ? parameter.rows : parameter.cols;
    if (tensor.source.rows != rows || tensor.source.cols != cols)
      return Status("ERR_SHAPE", format_text("%s: expected [%lld, %lld], found [%lld, %lld]", tensor.name.c_str(),
                                             static_cast<long long>(rows), static_cast<long long>(cols),
                                             static_cast<long long>(tensor.source.rows),
                                             static_cast<long long>(tensor.source.cols)));
  }
  if (parameter.is_vector) parameter.draw = tensor.part == "bias" ? Draw::kZeros : Draw::kOnes;
  return insert(std::move(parameter));
}

Status Parameters::add_extra(const ExtraParameter& extra) {
  Parameter parameter;
  parameter.tensor = {extra.name, extra.role, extra.part, extra.layer};
  parameter.rows = extra.rows;
  parameter.cols = extra.cols;
  parameter.is_vector = extra.part == "bias";
  parameter.decays = !parameter.is_vector;
  parameter.draw = extra.draw;
  return insert(std::move(parameter));
}

Status Parameters::insert(Parameter&& parameter) {
  const TrainTensor& tensor = parameter.tensor;
  const std::string key = role_key(tensor.role, tensor.part, tensor.layer);
  if (!by_name_.emplace(tensor.name, list_.size()).second || !by_role_.emplace(key, list_.size()).second)
    return bad_tensor(tensor, "given twice");
  list_.push_back(std::move(parameter));
  return Status::ok();
}

// Every tensor the model must have, and biases of all fused layers or of none.
Status Parameters::check_complete(const ModelSpec& spec) {
  for (const TensorPattern& pattern : families().front().tensors) {
    const bool needed = pattern.when == When::kAlways || (pattern.when == When::kUntied && !spec.tie_word_embeddings);
    for (int64_t layer = in_layers(pattern) ? 0 : -1; layer < (in_layers(pattern) ? spec.num_layers : 0); ++layer) {
      const bool found = find(pattern.role, pattern.part, layer) != nullptr;
      const auto* group = fused_with(pattern.role);
      const bool first_has = group != nullptr && find(group->front(), pattern.part, layer) != nullptr;
      const bool tied_head = pattern.when == When::kUntied && spec.tie_word_embeddings;
      if (found ? !tied_head && (group == nullptr || first_has) : !needed && !first_has) continue;
      return Status("ERR_CHECKPOINT_TENSORS",
                    role_key(pattern.role, pattern.part, layer) + (found ? ": not expected" : ": missing"));
    }
  }
  return Status::ok();
}

Status Parameters::place(int part) {
  const auto wanted = [part](const Parameter& parameter) { return part == 0 || parameter.trainable; };
  for (const bool measure : {true, false}) {
    int64_t used = 0;
    std::vector<bool> placed(list_.size(), false);
    const auto take = [&](size_t index) {
      if (placed[index] || !wanted(list_[index])) return;
      placed[index] = true;
      if (!measure) list_[index].values[part] = blocks_[part].as<float>() + used;
      used += list_[index].count();
    };
    for (size_t i = 0; i < list_.size(); ++i) {
      if (placed[i]) continue;
      used = (used + kAlignFloats - 1) / kAlignFloats * kAlignFloats;
      const TrainTensor& tensor = list_[i].tensor;
      const auto* group = fused_with(tensor.role);
      if (group == nullptr) take(i);
      for (size_t member = 0; group != nullptr && member < group->size(); ++member) {
        const auto found = by_role_.find(role_key((*group)[member], tensor.part, tensor.layer));
        if (found != by_role_.end()) take(found->second);
      }
    }
    if (measure) ESP_RETURN_IF_ERROR(blocks_[part].reserve(static_cast<size_t>(used) * sizeof(float)));
  }
  if (part > 0 && blocks_[part].size() > 0) std::memset(blocks_[part].as<void>(), 0, blocks_[part].size());
  return Status::ok();
}

Status Parameters::create(const TrainModel& model, const ParameterOptions& options) {
  ESP_RETURN_IF_ERROR(check_spec(model.spec));
  list_.reserve(model.tensors.size() + options.extra.size());
  for (const TrainTensor& tensor : model.tensors) ESP_RETURN_IF_ERROR(add(model.spec, tensor));
  if (options.whole) ESP_RETURN_IF_ERROR(check_complete(model.spec));
  for (Parameter& parameter : list_) parameter.trainable = options.trainable && !options.model_frozen;
  for (const ExtraParameter& extra : options.extra) {
    ESP_RETURN_IF_ERROR(add_extra(extra));
    list_.back().trainable = options.trainable;
  }
  for (const std::string& name : options.frozen) {
    Parameter* parameter = find(name);
    if (parameter == nullptr) return Status("ERR_ARGUMENT", "frozen: the model has no parameter \"" + name + "\"");
    parameter->trainable = false;
  }
  for (int part = 0; part < kParameterParts; ++part) ESP_RETURN_IF_ERROR(place(part));
  return Status::ok();
}

Status Parameters::load(ThreadPool* pool, uint64_t seed, double std_deviation) {
  std::mutex mutex;
  Status first_error;
  pool->run(static_cast<int64_t>(list_.size()), [&](int64_t index, int) {
    const Parameter& parameter = list_[static_cast<size_t>(index)];
    if (parameter.tensor.file == nullptr)
      return draw_values(seed ^ hash_of(parameter.tensor.name), std_deviation, parameter);
    const Status status = read_weights(parameter);
    if (status.is_ok()) return;
    const std::lock_guard<std::mutex> lock(mutex);
    if (first_error.is_ok()) first_error = status;
  });
  return first_error;
}

Parameter* Parameters::find(const std::string& name) {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &list_[found->second];
}

Parameter* Parameters::find(const char* role, const char* part, int64_t layer) {
  const auto found = by_role_.find(role_key(role, part, layer));
  return found == by_role_.end() ? nullptr : &list_[found->second];
}

}  // namespace espalier
