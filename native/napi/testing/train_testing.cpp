// Test export of the weight hook: a model trained with hooks against one whose weights were changed beforehand.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <vector>

#include "napi/testing/registry.h"
#include "train/trainer.h"

namespace espalier::testing {
namespace {

constexpr float kGrid = 0.125f;

float rounded(float value) { return std::round(value / kGrid) * kGrid; }

Status round_weights(void*, const CpuContext&, const Parameter& weight, float* out) {
  for (int64_t i = 0; i < weight.count(); ++i) out[i] = rounded(weight.weight()[i]);
  return Status::ok();
}

// Twice the straight-through gradient, so that its coming here shows.
Status double_gradient(void*, const CpuContext&, const Parameter& weight, float* gradient) {
  for (int64_t i = 0; i < weight.count(); ++i) gradient[i] *= 2;
  return Status::ok();
}

TrainConfig config_of(const CpuContext& context) {
  TrainConfig config;
  ModelSpec& spec = config.model.spec;
  spec.vocab_size = 13;
  spec.hidden_size = 12;
  spec.intermediate_size = 10;
  spec.num_layers = spec.num_kv_heads = 1;
  spec.num_heads = 2;
  spec.head_dim = spec.rope.rotary_dim = 6;
  spec.max_positions = 16;
  spec.tie_word_embeddings = true;
  const char* const layer[] = {"input_layernorm",          "q_proj",    "k_proj",  "v_proj",   "o_proj",
                               "post_attention_layernorm", "gate_proj", "up_proj", "down_proj"};
  for (const char* role : {"embed_tokens", "norm"}) config.model.tensors.push_back({role, role, "weight", -1});
  for (const char* role : layer) config.model.tensors.push_back({role, role, "weight", 0});
  config.losses.push_back({});
  config.sequence_length = 8;
  config.init_std = 0.4;
  config.threads = context.pool->threads();
  config.isa = context.isa;
  return config;
}

Status gradient_of(Trainer& trainer, const char* name, std::vector<float>* out) {
  const int32_t tokens[] = {1, 5, 7, 2, 12, 0, 3, 3}, labels[] = {5, 7, 2, kIgnoredLabel, 0, 3, 3, 9};
  const TrainBatch batch{1, 8, tokens, labels};
  BatchLosses losses;
  ESP_RETURN_IF_ERROR(trainer.accumulate(batch, &losses));
  out->resize(static_cast<size_t>(trainer.parameters().find(name)->count()));
  return trainer.read(name, ParameterPart::kGradient, out->data(), static_cast<int64_t>(out->size()));
}

// Of `name` with a hook on it and on `other`, and the same without hooks after the weights of both were rounded.
Status compare_hook(const CpuContext& context, const char* name, const char* other, bool with_gradient,
                    std::vector<float>* hooked, std::vector<float>* plain) {
  std::unique_ptr<Trainer> first, second;
  ESP_RETURN_IF_ERROR(Trainer::create(config_of(context), &first));
  ESP_RETURN_IF_ERROR(Trainer::create(config_of(context), &second));
  ESP_RETURN_IF_ERROR(first->load());
  ESP_RETURN_IF_ERROR(second->load());
  for (const char* weight : {name, other}) {
    ESP_RETURN_IF_ERROR(
        first->set_weight_hook(weight, {nullptr, round_weights, with_gradient ? double_gradient : nullptr}));
    Parameter* parameter = second->parameters().find(weight);
    for (int64_t i = 0; i < parameter->count(); ++i) parameter->weight()[i] = rounded(parameter->weight()[i]);
  }
  ESP_RETURN_IF_ERROR(gradient_of(*first, name, hooked));
  return gradient_of(*second, name, plain);
}

// { name, other, withGradient, isa, threads } -> the largest difference between the hooked gradient and `expected`
// times the plain one, relative to the largest gradient
Napi::Value test_train_hook(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const bool with_gradient = bool_of(o, "withGradient");
  std::vector<float> hooked, plain;
  throw_if_error(info.Env(), compare_hook(context_of(o), string_of(o, "name").c_str(), string_of(o, "other").c_str(),
                                          with_gradient, &hooked, &plain));
  double largest = 0, difference = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    const double expected = plain[i] * (with_gradient ? 2.0 : 1.0);
    largest = std::fmax(largest, std::fabs(expected));
    difference = std::fmax(difference, std::fabs(hooked[i] - expected));
  }
  return Napi::Number::New(info.Env(), difference / largest);
}
ESP_TEST_EXPORT(train_hook);

}  // namespace
}  // namespace espalier::testing
