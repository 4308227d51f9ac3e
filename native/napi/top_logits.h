// binding.topLogits: the largest of rows of logits, off the event loop; and the arrays they are given in.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <cstdint>
#include <memory>

namespace espalier {

// Arrays of JavaScript's that another thread fills: ids, values [rows, top], log_sum_exp [rows]. They live as long as a
// copy of this does, the last of which must go on the event loop.
class TopLogitArrays {
 public:
  TopLogitArrays(Napi::Env env, int64_t rows, int64_t top);
  // { ids, values, logSumExp }
  Napi::Object object(Napi::Env env) const;
  int32_t* ids;
  float* values;
  float* log_sum_exp;

 private:
  struct Kept;
  std::shared_ptr<Kept> kept_;
};

// How many of the largest, 1 to vocab. Throws ERR_ARGUMENT.
int64_t top_argument(Napi::Env env, const Napi::Value& value, int64_t vocab);

// topLogits(logits, vocab, top): Promise<{ ids, values, logSumExp }>; src/binding.ts says what they are.
Napi::Value top_logits_for_js(const Napi::CallbackInfo& info);

}  // namespace espalier
