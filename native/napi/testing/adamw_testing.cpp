// Test exports of adamw, the sum of squares and masks.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/adamw/adamw.h"
#include "napi/testing/guarded_workspace.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { weight, gradient, moment1, moment2, mask, count, gradientScale, learningRate, beta1, beta2, epsilon, weightDecay,
// step, isa, threads, reference }
Napi::Value test_adamw(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const AdamwArgs args{data_of<float>(o, "weight"),
                       data_of<float>(o, "gradient"),
                       data_of<float>(o, "moment1"),
                       data_of<float>(o, "moment2"),
                       data_of<uint8_t>(o, "mask"),
                       int_of(o, "count"),
                       static_cast<float>(number_of(o, "gradientScale", 1)),
                       number_of(o, "learningRate"),
                       number_of(o, "beta1"),
                       number_of(o, "beta2"),
                       number_of(o, "epsilon"),
                       number_of(o, "weightDecay"),
                       int_of(o, "step")};
  throw_if_error(info.Env(), bool_of(o, "reference") ? adamw_ref(args) : adamw(context_of(o), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(adamw);

// { x, mask, count, isa, threads, reference } -> the sum
Napi::Value test_sum_of_squares(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  double sum = 0;
  const SumOfSquaresArgs args{data_of<float>(o, "x"), data_of<uint8_t>(o, "mask"), int_of(o, "count"), &sum};
  if (bool_of(o, "reference")) {
    throw_if_error(info.Env(), sum_of_squares_ref(args));
    return Napi::Number::New(info.Env(), sum);
  }
  const CpuContext context = context_of(o);
  const size_t bytes = sum_of_squares_workspace_size(context, args);
  const GuardedWorkspace workspace(info.Env(), bytes);
  throw_if_error(info.Env(), sum_of_squares(context, args, workspace.data(), bytes));
  workspace.check();
  return Napi::Number::New(info.Env(), sum);
}
ESP_TEST_EXPORT(sum_of_squares);

}  // namespace
}  // namespace espalier::testing
