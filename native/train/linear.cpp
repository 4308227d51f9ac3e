// SPDX-License-Identifier: Apache-2.0
#include "train/linear.h"

#include <cstring>

#include "kernels/bias/bias.h"

namespace espalier {
namespace {

// The weights of all parts, as products use them.
Status effective_weights(TrainContext& context, const TrainLinear& linear, const float** out) {
  *out = linear.parts.front().weight->weight();
  bool hooked = false;
  for (const LinearPart& part : linear.parts) hooked = hooked || part.hook.effective != nullptr;
  if (!hooked) return Status::ok();
  ESP_RETURN_IF_ERROR(context.effective.reserve(static_cast<size_t>(linear.out * linear.in) * sizeof(float)));
  float* target = context.effective.as<float>();
  *out = target;
  for (const LinearPart& part : linear.parts) {
    const Parameter& weight = *part.weight;
    if (part.hook.effective != nullptr)
      ESP_RETURN_IF_ERROR(part.hook.effective(part.hook.state, context.cpu, weight, target));
    else
      std::memcpy(target, weight.weight(), static_cast<size_t>(weight.count()) * sizeof(float));
    target += weight.count();
  }
  return Status::ok();
}

// weight.gradient() += doutᵀ x
Status weight_gradient(TrainContext& context, const LinearPart& part, const float* x, int64_t ldx, const float* dout,
                       int64_t lddo, int64_t tokens) {
  const Parameter& weight = *part.weight;
  const bool hooked = part.hook.effective != nullptr && part.hook.gradient != nullptr;
  float* target = weight.gradient();
  if (hooked) {
    ESP_RETURN_IF_ERROR(context.effective.reserve(static_cast<size_t>(weight.count()) * sizeof(float)));
    target = context.effective.as<float>();
  }
  ESP_RETURN_IF_ERROR(product(context, {dout, x, target, weight.rows, weight.cols, tokens, lddo, ldx, weight.cols, true,
                                        false, 1.0f, hooked ? 0.0f : 1.0f}));
  if (!hooked) return Status::ok();
  ESP_RETURN_IF_ERROR(part.hook.gradient(part.hook.state, context.cpu, weight, target));
  return bias_rows(context.cpu,
                   {target, weight.count(), weight.gradient(), weight.gradient(), weight.count(), 1, weight.count()});
}

// Two blocks of [tokens, rank].
Status adapter_scratch(TrainContext& context, int64_t tokens, int64_t rank, float** first, float** second) {
  ESP_RETURN_IF_ERROR(context.adapter.reserve(static_cast<size_t>(2 * tokens * rank) * sizeof(float)));
  *first = context.adapter.as<float>();
  *second = *first + tokens * rank;
  return Status::ok();
}

// out += scale (x Aᵀ) Bᵀ
Status adapter_forward(TrainContext& context, const LinearPart& part, const float* x, int64_t ldx, float* out,
                       int64_t ldo, int64_t tokens) {
  const int64_t rank = part.lora_a->rows, in = part.lora_a->cols, rows = part.lora_b->rows;
  float *low, *unused;
  ESP_RETURN_IF_ERROR(adapter_scratch(context, tokens, rank, &low, &unused));
  ESP_RETURN_IF_ERROR(
      product(context, {x, part.lora_a->weight(), low, tokens, rank, in, ldx, in, rank, false, true, 1.0f, 0.0f}));
  return product(context, {low, part.lora_b->weight(), out, tokens, rows, rank, rank, rank, ldo, false, true,
                           part.lora_scale, 1.0f});
}

// dx += scale (dout B) A
Status adapter_backward_input(TrainContext& context, const LinearPart& part, const float* dout, int64_t lddo, float* dx,
                              int64_t lddx, int64_t tokens) {
  const int64_t rank = part.lora_a->rows, in = part.lora_a->cols, rows = part.lora_b->rows;
  float *low, *unused;
  ESP_RETURN_IF_ERROR(adapter_scratch(context, tokens, rank, &low, &unused));
  ESP_RETURN_IF_ERROR(product(
      context, {dout, part.lora_b->weight(), low, tokens, rank, rows, lddo, rank, rank, false, false, 1.0f, 0.0f}));
  return product(
      context, {low, part.lora_a->weight(), dx, tokens, in, rank, rank, in, lddx, false, false, part.lora_scale, 1.0f});
}

// dB += scale doutᵀ (x Aᵀ), dA += scale (dout B)ᵀ x
Status adapter_backward_weight(TrainContext& context, const LinearPart& part, const float* x, int64_t ldx,
                               const float* dout, int64_t lddo, int64_t tokens) {
  const int64_t rank = part.lora_a->rows, in = part.lora_a->cols, rows = part.lora_b->rows;
  float *low, *dlow;
  ESP_RETURN_IF_ERROR(adapter_scratch(context, tokens, rank, &low, &dlow));
  if (part.lora_b->trainable) {
    ESP_RETURN_IF_ERROR(
        product(context, {x, part.lora_a->weight(), low, tokens, rank, in, ldx, in, rank, false, true, 1.0f, 0.0f}));
    ESP_RETURN_IF_ERROR(product(context, {dout, low, part.lora_b->gradient(), rows, rank, tokens, lddo, rank, rank,
                                          true, false, part.lora_scale, 1.0f}));
  }
  if (!part.lora_a->trainable) return Status::ok();
  ESP_RETURN_IF_ERROR(product(
      context, {dout, part.lora_b->weight(), dlow, tokens, rank, rows, lddo, rank, rank, false, false, 1.0f, 0.0f}));
  return product(
      context, {dlow, x, part.lora_a->gradient(), rank, in, tokens, rank, ldx, in, true, false, part.lora_scale, 1.0f});
}

}  // namespace

void TrainLinear::add(const LinearPart& part) {
  parts.push_back(part);
  in = part.weight->cols;
  out += part.weight->rows;
}

bool TrainLinear::trainable() const {
  for (const LinearPart& part : parts)
    for (const Parameter* parameter : {part.weight, part.bias, part.lora_a, part.lora_b})
      if (parameter != nullptr && parameter->trainable) return true;
  return false;
}

Status linear_forward(TrainContext& context, const TrainLinear& linear, const float* x, int64_t ldx,
                      const float* residual, float* out, int64_t ldo, int64_t tokens) {
  const Parameter* bias = linear.parts.front().bias;
  const bool prepared = residual != nullptr || bias != nullptr;
  if (bias != nullptr || (residual != nullptr && residual != out))
    ESP_RETURN_IF_ERROR(bias_rows(
        context.cpu, {residual, ldo, bias != nullptr ? bias->weight() : nullptr, out, ldo, tokens, linear.out}));
  const float* weights;
  ESP_RETURN_IF_ERROR(effective_weights(context, linear, &weights));
  ESP_RETURN_IF_ERROR(product(context, {x, weights, out, tokens, linear.out, linear.in, ldx, linear.in, ldo, false,
                                        true, 1.0f, prepared ? 1.0f : 0.0f}));
  for (const LinearPart& part : linear.parts) {
    if (part.lora_a != nullptr) ESP_RETURN_IF_ERROR(adapter_forward(context, part, x, ldx, out, ldo, tokens));
    out += part.weight->rows;
  }
  return Status::ok();
}

Status linear_backward_input(TrainContext& context, const TrainLinear& linear, const float* dout, int64_t lddo,
                             float* dx, int64_t lddx, int64_t tokens, bool accumulate) {
  const float* weights;
  ESP_RETURN_IF_ERROR(effective_weights(context, linear, &weights));
  ESP_RETURN_IF_ERROR(product(context, {dout, weights, dx, tokens, linear.in, linear.out, lddo, linear.in, lddx, false,
                                        false, 1.0f, accumulate ? 1.0f : 0.0f}));
  for (const LinearPart& part : linear.parts) {
    if (part.lora_a != nullptr)
      ESP_RETURN_IF_ERROR(adapter_backward_input(context, part, dout, lddo, dx, lddx, tokens));
    dout += part.weight->rows;
  }
  return Status::ok();
}

Status linear_backward_weight(TrainContext& context, const TrainLinear& linear, const float* x, int64_t ldx,
                              const float* dout, int64_t lddo, int64_t tokens) {
  bool whole = true;  // the gradients of all weights stand one below the other, too, and no hook wants its own
  for (const LinearPart& part : linear.parts) whole = whole && part.weight->trainable && part.hook.gradient == nullptr;
  if (whole)
    ESP_RETURN_IF_ERROR(product(context, {dout, x, linear.parts.front().weight->gradient(), linear.out, linear.in,
                                          tokens, lddo, ldx, linear.in, true, false, 1.0f, 1.0f}));
  for (const LinearPart& part : linear.parts) {
    const int64_t rows = part.weight->rows;
    if (!whole && part.weight->trainable)
      ESP_RETURN_IF_ERROR(weight_gradient(context, part, x, ldx, dout, lddo, tokens));
    if (part.bias != nullptr && part.bias->trainable)
      ESP_RETURN_IF_ERROR(bias_backward(context.cpu, {dout, lddo, part.bias->gradient(), tokens, rows}));
    if (part.lora_a != nullptr) ESP_RETURN_IF_ERROR(adapter_backward_weight(context, part, x, ldx, dout, lddo, tokens));
    dout += rows;
  }
  return Status::ok();
}

Status merged_weight(TrainContext& context, const LinearPart& part, float* out) {
  const Parameter& weight = *part.weight;
  std::memcpy(out, weight.weight(), static_cast<size_t>(weight.count()) * sizeof(float));
  if (part.lora_a == nullptr) return Status::ok();
  const int64_t rank = part.lora_a->rows;
  return product(context, {part.lora_b->weight(), part.lora_a->weight(), out, weight.rows, weight.cols, rank, rank,
                           weight.cols, weight.cols, false, false, part.lora_scale, 1.0f});
}

}  // namespace espalier
