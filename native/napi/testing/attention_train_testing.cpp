// Test exports of attention for training.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention_train/attention_train.h"

#include <algorithm>
#include <chrono>

#include "napi/testing/guarded_workspace.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// What both directions read: { q, k, v, out, lse, documentStarts?, ldq, ldk, ldv, ldo, sequences, length, heads,
// kvHeads, headDim, scale }
template <typename Args>
Args common_args(const Napi::Object& o) {
  Args args{};
  args.q = data_of<float>(o, "q");
  args.k = data_of<float>(o, "k");
  args.v = data_of<float>(o, "v");
  args.out = data_of<float>(o, "out");
  args.lse = data_of<float>(o, "lse");
  args.document_starts = data_of<int32_t>(o, "documentStarts");
  args.ldq = int_of(o, "ldq");
  args.ldk = int_of(o, "ldk");
  args.ldv = int_of(o, "ldv");
  args.ldo = int_of(o, "ldo");
  args.sequences = int_of(o, "sequences");
  args.length = int_of(o, "length");
  args.heads = int_of(o, "heads");
  args.kv_heads = int_of(o, "kvHeads");
  args.head_dim = int_of(o, "headDim");
  args.scale = static_cast<float>(number_of(o, "scale", 1));
  return args;
}

// Runs `call(workspace, bytes)` `repeats` times in a guarded workspace -> seconds of the fastest.
template <typename F>
Napi::Value run_in_workspace(const Napi::CallbackInfo& info, size_t bytes, F&& call) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const size_t held_back = std::min(bytes, static_cast<size_t>(int_of(o, "workspaceShort")));
  const GuardedWorkspace workspace(info.Env(), bytes);
  double fastest = 1e9;
  const int64_t repeats = int_of(o, "repeats", 1);
  for (int64_t repeat = 0; repeat < repeats; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    throw_if_error(info.Env(), call(workspace.data(), bytes - held_back));
    fastest = std::min(fastest, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  workspace.check();
  return Napi::Number::New(info.Env(), fastest);
}

// common_args + { isa, threads, reference, workspaceShort, repeats } -> seconds of the fastest call
Napi::Value test_attention_train(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const AttentionTrainArgs args = common_args<AttentionTrainArgs>(o);
  if (bool_of(o, "reference")) {
    throw_if_error(info.Env(), attention_train_ref(args));
    return info.Env().Undefined();
  }
  const CpuContext context = context_of(o);
  return run_in_workspace(info, attention_train_workspace_size(context, args), [&](void* workspace, size_t bytes) {
    return attention_train(context, args, workspace, bytes);
  });
}
ESP_TEST_EXPORT(attention_train);

// common_args + { dout, dq, dk, dv, lddo, lddq, lddk, lddv, isa, threads, reference, workspaceShort, repeats }
// -> seconds of the fastest call
Napi::Value test_attention_backward(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  AttentionBackwardArgs args = common_args<AttentionBackwardArgs>(o);
  args.dout = data_of<float>(o, "dout");
  args.dq = data_of<float>(o, "dq");
  args.dk = data_of<float>(o, "dk");
  args.dv = data_of<float>(o, "dv");
  args.lddo = int_of(o, "lddo");
  args.lddq = int_of(o, "lddq");
  args.lddk = int_of(o, "lddk");
  args.lddv = int_of(o, "lddv");
  if (bool_of(o, "reference")) {
    throw_if_error(info.Env(), attention_backward_ref(args));
    return info.Env().Undefined();
  }
  const CpuContext context = context_of(o);
  return run_in_workspace(info, attention_backward_workspace_size(context, args), [&](void* workspace, size_t bytes) {
    return attention_backward(context, args, workspace, bytes);
  });
}
ESP_TEST_EXPORT(attention_backward);

}  // namespace
}  // namespace espalier::testing
