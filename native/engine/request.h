// What callers ask of an engine and what it answers: plain data that crosses threads.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "kernels/sample/sample.h"

namespace espalier {

enum class RequestKind : int32_t {
  kGenerate,  // sample tokens one after another
  kLogits,    // logits of the last prompt position, or of all
  kScore,     // log-probability of every prompt token given those before it
};

struct Request {
  uint64_t id = 0;
  RequestKind kind = RequestKind::kGenerate;
  std::vector<int32_t> prompt;
  int64_t max_tokens = 0;
  SampleOptions sampling;
  uint64_t seed = 0;
  std::vector<int32_t> stop_ids;  // end-of-sequence ids; empty ignores them
  int32_t top_logprobs = 0;
  bool all_logits = false;
  int64_t score_from = 1;    // kScore: the first prompt token wanted
  bool reuse_prefix = true;  // keys and values of tokens whose rows nobody asks for may come from the cache
};

enum class EventKind : int32_t { kToken, kDone, kLogits, kScores, kError };

enum class FinishReason : int32_t { kStop, kLength, kContext, kCancelled };

struct TokenLogprob {
  int32_t id;
  double logprob;
};

struct Event {
  uint64_t request = 0;
  EventKind kind = EventKind::kToken;
  int32_t token = 0;                          // kToken
  double logprob = 0;                         // kToken
  std::vector<TokenLogprob> top;              // kToken
  double at_ms = 0;                           // since the request was handed in
  FinishReason reason = FinishReason::kStop;  // kDone
  int64_t reused_tokens = 0;                  // kDone: prompt tokens found in the cache
  std::vector<float> logits;                  // kLogits [rows, vocab]
  std::vector<double> scores;                 // kScores [prompt - score_from]
  Status error;                               // kError
};

}  // namespace espalier
