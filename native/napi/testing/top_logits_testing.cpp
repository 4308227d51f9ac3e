// Test export of top_logits.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/top_logits/top_logits.h"

#include <algorithm>

#include "napi/testing/guarded_workspace.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { logits, ld, rows, vocab, top, ids, values, logSumExp, isa, threads, reference, workspaceShort }
Napi::Value test_top_logits(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const TopLogitsArgs args = {data_of<float>(o, "logits"),
                              int_of(o, "ld"),
                              int_of(o, "rows"),
                              int_of(o, "vocab"),
                              int_of(o, "top"),
                              data_of<int32_t>(o, "ids"),
                              data_of<float>(o, "values"),
                              data_of<float>(o, "logSumExp")};
  if (bool_of(o, "reference")) {
    throw_if_error(info.Env(), top_logits_ref(args));
    return info.Env().Undefined();
  }
  const CpuContext context = context_of(o);
  const size_t bytes = top_logits_workspace_size(context, args);
  const size_t held_back = std::min(bytes, static_cast<size_t>(int_of(o, "workspaceShort")));
  const GuardedWorkspace workspace(info.Env(), bytes);
  throw_if_error(info.Env(), top_logits(context, args, workspace.data(), bytes - held_back));
  workspace.check();
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(top_logits);

}  // namespace
}  // namespace espalier::testing
