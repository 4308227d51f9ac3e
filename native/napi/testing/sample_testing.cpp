// Test exports of softmax, token_logprob and sample.
// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "kernels/sample/sample.h"
#include "kernels/softmax/softmax.h"
#include "kernels/softmax/softmax_tile.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { x, ldx, out, ldo, rows, width, isa, threads, reference }
Napi::Value test_softmax(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const SoftmaxArgs args = {data_of<float>(o, "x"), int_of(o, "ldx"),  data_of<float>(o, "out"),
                            int_of(o, "ldo"),       int_of(o, "rows"), int_of(o, "width")};
  throw_if_error(info.Env(), bool_of(o, "reference") ? softmax_ref(args) : softmax(context_of(o), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(softmax);

// { x, ldx, target, out (Float64Array), rows, width, isa, threads, reference }
Napi::Value test_token_logprob(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const TokenLogprobArgs args = {data_of<float>(o, "x"),    int_of(o, "ldx"),  data_of<int32_t>(o, "target"),
                                 data_of<double>(o, "out"), int_of(o, "rows"), int_of(o, "width")};
  throw_if_error(info.Env(), bool_of(o, "reference") ? token_logprob_ref(args) : token_logprob(context_of(o), args));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(token_logprob);

// out[i] = e^x[i] of an ISA's vector code. { x, out, count, isa }
Napi::Value test_vector_exp(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  softmax_tile(context_of(o).isa)
      .exp_sum(data_of<float>(o, "x"), int_of(o, "count"), 0.0f, 1.0f, data_of<float>(o, "out"));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(vector_exp);

// { logits, vocab, temperature, topK, topP, minP, repetitionPenalty, seen, seenCount, seed, noRng, topIds (Int32Array),
// topLogprobs (Float64Array), topCount, ids (Int32Array), draws, isa } -> logprob of the last draw; ids gets one id for
// each draw, all from one generator and the same logits
Napi::Value test_sample(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  Rng rng(static_cast<uint64_t>(int_of(o, "seed")));
  SampleArgs args = {};
  args.vocab = int_of(o, "vocab");
  args.options.temperature = static_cast<float>(number_of(o, "temperature", 0));
  args.options.top_k = static_cast<int32_t>(int_of(o, "topK"));
  args.options.top_p = static_cast<float>(number_of(o, "topP", 1));
  args.options.min_p = static_cast<float>(number_of(o, "minP", 0));
  args.options.repetition_penalty = static_cast<float>(number_of(o, "repetitionPenalty", 1));
  args.seen = data_of<int32_t>(o, "seen");
  args.seen_count = int_of(o, "seenCount");
  args.rng = bool_of(o, "noRng") ? nullptr : &rng;
  args.top_ids = data_of<int32_t>(o, "topIds");
  args.top_logprobs = data_of<double>(o, "topLogprobs");
  args.top_count = static_cast<int32_t>(int_of(o, "topCount"));
  std::vector<char> workspace(sample_workspace_size(args.vocab) + 64);
  args.workspace = workspace.data() + (64 - reinterpret_cast<uintptr_t>(workspace.data()) % 64);
  const float* source = data_of<float>(o, "logits");
  std::vector<float> logits(static_cast<size_t>(args.vocab > 0 ? args.vocab : 0));
  int32_t* ids = data_of<int32_t>(o, "ids");
  const CpuContext context = context_of(o);
  const int64_t draws = int_of(o, "draws", 1);
  for (int64_t draw = 0; draw < draws; ++draw) {
    if (source != nullptr) logits.assign(source, source + logits.size());
    args.logits = source != nullptr ? logits.data() : nullptr;
    throw_if_error(info.Env(), sample(context, args));
    if (ids != nullptr) ids[draw] = args.id;
  }
  return Napi::Number::New(info.Env(), args.logprob);
}
ESP_TEST_EXPORT(sample);

}  // namespace
}  // namespace espalier::testing
