// SPDX-License-Identifier: Apache-2.0
#include "train/linear.h"

#include "kernels/bias/bias.h"

namespace espalier {

void TrainLinear::add(Parameter* weight, Parameter* bias) {
  parts.push_back({weight, bias});
  in = weight->cols;
  out += weight->rows;
}

bool TrainLinear::trainable() const {
  for (const LinearPart& part : parts)
    if (part.weight->trainable || (part.bias != nullptr && part.bias->trainable)) return true;
  return false;
}

Status linear_forward(TrainContext& context, const TrainLinear& linear, const float* x, int64_t ldx,
                      const float* residual, float* out, int64_t ldo, int64_t tokens) {
  const Parameter* bias = linear.parts.front().bias;
  const bool prepared = residual != nullptr || bias != nullptr;
  if (bias != nullptr || (residual != nullptr && residual != out))
    ESP_RETURN_IF_ERROR(bias_rows(
        context.cpu, {residual, ldo, bias != nullptr ? bias->weight() : nullptr, out, ldo, tokens, linear.out}));
  return product(context, {x, linear.parts.front().weight->weight(), out, tokens, linear.out, linear.in, ldx, linear.in,
                           ldo, false, true, 1.0f, prepared ? 1.0f : 0.0f});
}

Status linear_backward_input(TrainContext& context, const TrainLinear& linear, const float* dout, int64_t lddo,
                             float* dx, int64_t lddx, int64_t tokens) {
  return product(context, {dout, linear.parts.front().weight->weight(), dx, tokens, linear.in, linear.out, lddo,
                           linear.in, lddx, false, false, 1.0f, 0.0f});
}

Status linear_backward_weight(TrainContext& context, const TrainLinear& linear, const float* x, int64_t ldx,
                              const float* dout, int64_t lddo, int64_t tokens) {
  bool whole = true;
  for (const LinearPart& part : linear.parts) whole = whole && part.weight->trainable;
  if (whole)
    ESP_RETURN_IF_ERROR(product(context, {dout, x, linear.parts.front().weight->gradient(), linear.out, linear.in,
                                          tokens, lddo, ldx, linear.in, true, false, 1.0f, 1.0f}));
  int64_t row = 0;
  for (const LinearPart& part : linear.parts) {
    const int64_t rows = part.weight->rows;
    if (!whole && part.weight->trainable)
      ESP_RETURN_IF_ERROR(product(context, {dout + row, x, part.weight->gradient(), rows, linear.in, tokens, lddo, ldx,
                                            linear.in, true, false, 1.0f, 1.0f}));
    if (part.bias != nullptr && part.bias->trainable)
      ESP_RETURN_IF_ERROR(bias_backward(context.cpu, {dout + row, lddo, part.bias->gradient(), tokens, rows}));
    row += rows;
  }
  return Status::ok();
}

}  // namespace espalier
