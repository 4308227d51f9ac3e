// Test exports of rms_norm, layer_norm, rope and swiglu.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/swiglu/swiglu.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { x, ldx, weight, out, ldo, tokens, hidden, eps, isa, threads, reference }
Napi::Value test_rms_norm(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const RmsNormArgs args = {data_of<float>(o, "x"),
                            int_of(o, "ldx"),
                            data_of<float>(o, "weight"),
                            data_of<float>(o, "out"),
                            int_of(o, "ldo"),
                            int_of(o, "tokens"),
                            int_of(o, "hidden"),
                            static_cast<float>(number_of(o, "eps", 1e-5))};
  throw_if_error(info.Env(), bool_of(o, "reference") ? rms_norm_ref(args) : rms_norm(context_of(o), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(rms_norm);

// { x, ldx, weight, bias, out, ldo, tokens, hidden, eps, isa, threads, reference }
Napi::Value test_layer_norm(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const LayerNormArgs args = {
      data_of<float>(o, "x"),    int_of(o, "ldx"),         data_of<float>(o, "weight"),
      data_of<float>(o, "bias"), data_of<float>(o, "out"), int_of(o, "ldo"),
      int_of(o, "tokens"),       int_of(o, "hidden"),      static_cast<float>(number_of(o, "eps", 1e-5))};
  throw_if_error(info.Env(), bool_of(o, "reference") ? layer_norm_ref(args) : layer_norm(context_of(o), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(layer_norm);

// { x, ldx, tokens, heads, headDim, half, positions, cos, sin, tableRows, interleaved, isa, threads, reference }
Napi::Value test_rope(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  RopeArgs args;
  args.x = data_of<float>(o, "x");
  args.ldx = int_of(o, "ldx");
  args.tokens = int_of(o, "tokens");
  args.heads = int_of(o, "heads");
  args.head_dim = int_of(o, "headDim");
  args.half = int_of(o, "half");
  args.positions = data_of<int32_t>(o, "positions");
  args.cos = data_of<float>(o, "cos");
  args.sin = data_of<float>(o, "sin");
  args.table_rows = int_of(o, "tableRows");
  args.interleaved = bool_of(o, "interleaved");
  throw_if_error(info.Env(), bool_of(o, "reference") ? rope_ref(args) : rope(context_of(o), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(rope);

// { gate, up, out, ldIn, ldOut, tokens, width, isa, threads, reference }
Napi::Value test_swiglu(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const SwigluArgs args = {data_of<float>(o, "gate"), data_of<float>(o, "up"), data_of<float>(o, "out"),
                           int_of(o, "ldIn"),         int_of(o, "ldOut"),      int_of(o, "tokens"),
                           int_of(o, "width")};
  throw_if_error(info.Env(), bool_of(o, "reference") ? swiglu_ref(args) : swiglu(context_of(o), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(swiglu);

}  // namespace
}  // namespace espalier::testing
