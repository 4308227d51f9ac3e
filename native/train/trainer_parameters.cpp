// Reading and writing parameters, masks and memory of a Trainer.
// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "kernels/adamw/adamw.h"
#include "train/trainer.h"

namespace espalier {

Status Trainer::find(const std::string& name, ParameterPart part, int64_t count, Parameter** out) {
  *out = parameters_.find(name);
  if (*out == nullptr) return Status("ERR_ARGUMENT", "the model has no parameter \"" + name + "\"");
  if ((*out)->values[static_cast<int>(part)] == nullptr)
    return Status("ERR_ARGUMENT", name + " is frozen: it has a weight only");
  if (count != (*out)->count())
    return Status("ERR_SHAPE", format_text("%s: expected %lld values, found %lld", name.c_str(),
                                           static_cast<long long>((*out)->count()), static_cast<long long>(count)));
  return Status::ok();
}

Status Trainer::read(const std::string& name, ParameterPart part, float* out, int64_t count) {
  Parameter* parameter;
  ESP_RETURN_IF_ERROR(find(name, part, count, &parameter));
  std::memcpy(out, parameter->values[static_cast<int>(part)], static_cast<size_t>(count) * sizeof(float));
  return Status::ok();
}

Status Trainer::write(const std::string& name, ParameterPart part, const float* values, int64_t count) {
  Parameter* parameter;
  ESP_RETURN_IF_ERROR(find(name, part, count, &parameter));
  float* target = parameter->values[static_cast<int>(part)];
  std::memcpy(target, values, static_cast<size_t>(count) * sizeof(float));
  if (parameter->mask_bits() == nullptr) return Status::ok();
  return apply_mask(context_.cpu, target, parameter->mask_bits(), count);
}

Status Trainer::merged(const std::string& name, float* out, int64_t count) {
  Parameter* parameter;
  ESP_RETURN_IF_ERROR(find(name, ParameterPart::kWeight, count, &parameter));
  const LinearPart* part = decoder_->find_part(parameter);
  return part != nullptr ? merged_weight(context_, *part, out) : read(name, ParameterPart::kWeight, out, count);
}

Status Trainer::set_weight_hook(const std::string& name, const WeightHook& hook) {
  LinearPart* part = decoder_->find_part(parameters_.find(name));
  if (part == nullptr) return Status("ERR_ARGUMENT", "\"" + name + "\" is not the weight of a linear layer");
  part->hook = hook;
  return Status::ok();
}

Status Trainer::check_mask(const std::string& name, int64_t bytes) {
  const Parameter* parameter = parameters_.find(name);
  if (parameter == nullptr) return Status("ERR_ARGUMENT", "the model has no parameter \"" + name + "\"");
  const int64_t needed = (parameter->count() + 7) / 8;
  if (bytes == -1 || bytes == needed) return Status::ok();
  return Status("ERR_SHAPE", format_text("mask of %s: expected %lld bytes, found %lld", name.c_str(),
                                         static_cast<long long>(needed), static_cast<long long>(bytes)));
}

Status Trainer::set_mask(const std::string& name, const uint8_t* bits, int64_t bytes) {
  ESP_RETURN_IF_ERROR(check_mask(name, bits == nullptr ? -1 : bytes));
  Parameter* parameter = parameters_.find(name);
  if (bits == nullptr) {
    parameter->mask.release();
    return Status::ok();
  }
  ESP_RETURN_IF_ERROR(parameter->mask.reserve(static_cast<size_t>(bytes) + 1));  // whole pairs of bytes
  std::memcpy(parameter->mask.as<uint8_t>(), bits, static_cast<size_t>(bytes));
  for (float* values : parameter->values)
    if (values != nullptr)
      ESP_RETURN_IF_ERROR(apply_mask(context_.cpu, values, parameter->mask_bits(), parameter->count()));
  return Status::ok();
}

std::vector<std::pair<const char*, size_t>> Trainer::memory() const {
  const size_t scratch = context_.workspace.size() + context_.adapter.size() + context_.effective.size();
  return {{"weights", parameters_.bytes(ParameterPart::kWeight)},
          {"gradients", parameters_.bytes(ParameterPart::kGradient)},
          {"moments", parameters_.bytes(ParameterPart::kMoment1) + parameters_.bytes(ParameterPart::kMoment2)},
          {"activations", activations_.size() + head_->bytes() + scratch},
          {"teacher", teacher_parameters_.bytes(ParameterPart::kWeight) + teacher_activations_.size()}};
}

}  // namespace espalier
