// Test exports of kv_append and attention.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <vector>

#include "core/aligned_buffer.h"
#include "kernels/attention/attention.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { keys, values, pageStride (bytes), kvHeads, headDim, dtype }
KvCacheView cache_of(const Napi::Object& o) {
  const KvDTypeInfo* dtype = kv_dtype_by_name(string_of(o, "dtype", "f32").c_str());
  return {data_of<char>(o, "keys"), data_of<char>(o, "values"),
          int_of(o, "pageStride"),  int_of(o, "kvHeads"),
          int_of(o, "headDim"),     dtype != nullptr ? dtype->dtype : static_cast<KvDType>(99)};
}

// cache_of + { k, v, ldkv, tokens, pages, position, kScales, vScales, isa, threads }
Napi::Value test_kv_append(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const KvAppendArgs args = {cache_of(o),           data_of<float>(o, "k"),       data_of<float>(o, "v"),
                             int_of(o, "ldkv"),     int_of(o, "tokens"),          data_of<int32_t>(o, "pages"),
                             int_of(o, "position"), data_of<float>(o, "kScales"), data_of<float>(o, "vScales")};
  throw_if_error(info.Env(), kv_append(context_of(o), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(kv_append);

// cache_of + { sequences: [{ q, out, qLen, kvLen, pages }], heads, ldq, ldo, scale, causal, isa, threads, reference,
// workspaceShort (bytes held back), repeats } -> seconds of the fastest call
Napi::Value test_attention(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const Napi::Array list = o.Get("sequences").As<Napi::Array>();
  std::vector<AttentionSequence> sequences;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Object s = list.Get(i).As<Napi::Object>();
    sequences.push_back({data_of<float>(s, "q"), data_of<float>(s, "out"), int_of(s, "qLen"), int_of(s, "kvLen"),
                         data_of<int32_t>(s, "pages")});
  }
  AttentionArgs args;
  args.cache = cache_of(o);
  args.sequences = sequences.data();
  args.count = int_of(o, "count", static_cast<int64_t>(sequences.size()));
  args.heads = int_of(o, "heads");
  args.ldq = int_of(o, "ldq");
  args.ldo = int_of(o, "ldo");
  args.scale = static_cast<float>(number_of(o, "scale", 1));
  args.causal = bool_of(o, "causal", true);
  if (bool_of(o, "reference")) {
    throw_if_error(info.Env(), attention_ref(args));
    return info.Env().Undefined();
  }
  const CpuContext context = context_of(o);
  const size_t bytes = attention_workspace_size(context, args);
  AlignedBuffer workspace;
  throw_if_error(info.Env(), workspace.reserve(bytes));
  const size_t held_back = std::min(bytes, static_cast<size_t>(int_of(o, "workspaceShort")));
  double fastest = 1e9;
  const int64_t repeats = int_of(o, "repeats", 1);
  for (int64_t repeat = 0; repeat < repeats; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    throw_if_error(info.Env(), attention(context, args, workspace.as<void>(), bytes - held_back));
    fastest = std::min(fastest, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return Napi::Number::New(info.Env(), fastest);
}
ESP_TEST_EXPORT(attention);

}  // namespace
}  // namespace espalier::testing
