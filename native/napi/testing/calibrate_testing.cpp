// Test export of channel_moments.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/channel_moments/channel_moments.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { x, ldx, groups, groupRows, skip, width, sums, isa, threads, reference }
Napi::Value test_channel_moments(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const ChannelMomentsArgs args{data_of<float>(o, "x"),    int_of(o, "ldx"),  int_of(o, "groups"),
                                int_of(o, "groupRows"),    int_of(o, "skip"), int_of(o, "width"),
                                data_of<double>(o, "sums")};
  throw_if_error(info.Env(),
                 bool_of(o, "reference") ? channel_moments_ref(args) : channel_moments(context_of(o), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(channel_moments);

}  // namespace
}  // namespace espalier::testing
