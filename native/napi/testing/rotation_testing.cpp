// SPDX-License-Identifier: Apache-2.0
#include "kernels/rotation/rotation.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { x, out: Float32Array [tokens, width], tokens, width, inverse, reference }
Napi::Value test_rotation(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  const int64_t width = int_of(options, "width");
  const Rotation constants(width);
  const RotationArgs args{&constants,
                          data_of<float>(options, "x"),
                          width,
                          data_of<float>(options, "out"),
                          width,
                          int_of(options, "tokens"),
                          bool_of(options, "inverse")};
  throw_if_error(info.Env(), bool_of(options, "reference") ? rotation_ref(args) : rotation(context_of(options), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(rotation);

}  // namespace
}  // namespace espalier::testing
