// Test exports of the backward kernels that work row by row, and of bias.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/bias/bias.h"
#include "kernels/embedding/embedding_backward.h"
#include "kernels/layer_norm/layer_norm_backward.h"
#include "kernels/rms_norm/rms_norm_backward.h"
#include "kernels/swiglu/swiglu_backward.h"
#include "napi/testing/guarded_workspace.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { x, ldx, weight, dout, lddo, dx, lddx, dweight, normed, ldn, tokens, hidden, eps, isa, threads, reference,
// workspaceMissing? }
Napi::Value test_rms_norm_backward(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const RmsNormBackwardArgs args{data_of<float>(o, "x"),
                                 int_of(o, "ldx"),
                                 data_of<float>(o, "weight"),
                                 data_of<float>(o, "dout"),
                                 int_of(o, "lddo"),
                                 data_of<float>(o, "dx"),
                                 int_of(o, "lddx"),
                                 data_of<float>(o, "dweight"),
                                 data_of<float>(o, "normed"),
                                 int_of(o, "ldn"),
                                 int_of(o, "tokens"),
                                 int_of(o, "hidden"),
                                 static_cast<float>(number_of(o, "eps", 1e-5))};
  if (bool_of(o, "reference")) {
    throw_if_error(info.Env(), rms_norm_backward_ref(args));
    return info.Env().Undefined();
  }
  const CpuContext context = context_of(o);
  const size_t bytes = rms_norm_backward_workspace_size(context, args);
  const GuardedWorkspace workspace(info.Env(), bytes);
  throw_if_error(info.Env(), rms_norm_backward(context, args, workspace.data(), bytes - int_of(o, "workspaceMissing")));
  workspace.check();
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(rms_norm_backward);

// { x, ldx, weight, bias, dout, lddo, dx, lddx, dweight, dbias, normed, ldn, tokens, hidden, eps, isa, threads,
// reference, workspaceMissing? }
Napi::Value test_layer_norm_backward(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const LayerNormBackwardArgs args{data_of<float>(o, "x"),
                                   int_of(o, "ldx"),
                                   data_of<float>(o, "weight"),
                                   data_of<float>(o, "bias"),
                                   data_of<float>(o, "dout"),
                                   int_of(o, "lddo"),
                                   data_of<float>(o, "dx"),
                                   int_of(o, "lddx"),
                                   data_of<float>(o, "dweight"),
                                   data_of<float>(o, "dbias"),
                                   data_of<float>(o, "normed"),
                                   int_of(o, "ldn"),
                                   int_of(o, "tokens"),
                                   int_of(o, "hidden"),
                                   static_cast<float>(number_of(o, "eps", 1e-5))};
  if (bool_of(o, "reference")) {
    throw_if_error(info.Env(), layer_norm_backward_ref(args));
    return info.Env().Undefined();
  }
  const CpuContext context = context_of(o);
  const size_t bytes = layer_norm_backward_workspace_size(context, args);
  const GuardedWorkspace workspace(info.Env(), bytes);
  throw_if_error(info.Env(),
                 layer_norm_backward(context, args, workspace.data(), bytes - int_of(o, "workspaceMissing")));
  workspace.check();
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(layer_norm_backward);

// { gate, up, dout, dgate, dup, out, ldIn, ldOut, tokens, width, isa, threads, reference }
Napi::Value test_swiglu_backward(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const SwigluBackwardArgs args{data_of<float>(o, "gate"),  data_of<float>(o, "up"),  data_of<float>(o, "dout"),
                                data_of<float>(o, "dgate"), data_of<float>(o, "dup"), data_of<float>(o, "out"),
                                int_of(o, "ldIn"),          int_of(o, "ldOut"),       int_of(o, "tokens"),
                                int_of(o, "width")};
  throw_if_error(info.Env(),
                 bool_of(o, "reference") ? swiglu_backward_ref(args) : swiglu_backward(context_of(o), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(swiglu_backward);

// { x, ldx, bias, out, ldo, tokens, width, isa, threads, reference }
Napi::Value test_bias_rows(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const BiasRowsArgs args{data_of<float>(o, "x"),   int_of(o, "ldx"), data_of<float>(o, "bias"),
                          data_of<float>(o, "out"), int_of(o, "ldo"), int_of(o, "tokens"),
                          int_of(o, "width")};
  throw_if_error(info.Env(), bool_of(o, "reference") ? bias_rows_ref(args) : bias_rows(context_of(o), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(bias_rows);

// { dout, lddo, dbias, tokens, width, isa, threads, reference }
Napi::Value test_bias_backward(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const BiasBackwardArgs args{data_of<float>(o, "dout"), int_of(o, "lddo"), data_of<float>(o, "dbias"),
                              int_of(o, "tokens"), int_of(o, "width")};
  throw_if_error(info.Env(), bool_of(o, "reference") ? bias_backward_ref(args) : bias_backward(context_of(o), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(bias_backward);

// { ids, tokens, dout, lddo, dtable, vocab, hidden, isa, threads, reference }
Napi::Value test_embedding_backward(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const EmbeddingBackwardArgs args{data_of<int32_t>(o, "ids"), int_of(o, "tokens"),         data_of<float>(o, "dout"),
                                   int_of(o, "lddo"),          data_of<float>(o, "dtable"), int_of(o, "vocab"),
                                   int_of(o, "hidden")};
  throw_if_error(info.Env(),
                 bool_of(o, "reference") ? embedding_backward_ref(args) : embedding_backward(context_of(o), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(embedding_backward);

}  // namespace
}  // namespace espalier::testing
