// Penalty -> temperature -> top-k -> top-p -> min-p -> draw, with partial selection only.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/arena.h"
#include "kernels/checks.h"
#include "kernels/sample/sample.h"
#include "kernels/sample/sample_select.h"
#include "kernels/softmax/softmax_tile.h"

namespace espalier {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();

struct Scratch {
  float* processed;       // [vocab] logits after the repetition penalty
  float* weights;         // [vocab] exp((logit - max) / temperature) of the tokens top-k left
  Candidate* candidates;  // [vocab]
  uint8_t* seen;          // [vocab] 1 where the penalty was applied
};

Scratch carve(Arena& arena, int64_t vocab) {
  const size_t n = static_cast<size_t>(vocab);
  return {arena.take<float>(n), arena.take<float>(n), arena.take<Candidate>(n), arena.take<uint8_t>(n)};
}

Status check_options(const SampleOptions& o) {
  const auto wrong = [](const char* name, const char* expected, double found) {
    return Status("ERR_ARGUMENT", format_text("sample: %s: expected %s, found %g", name, expected, found));
  };
  if (!(o.temperature >= 0) || o.temperature > kLargest) return wrong("temperature", "0 or more", o.temperature);
  if (o.top_k < 0) return wrong("top_k", "0 (off) or more", o.top_k);
  if (!(o.top_p > 0 && o.top_p <= 1)) return wrong("top_p", "a value in (0, 1]", o.top_p);
  if (!(o.min_p >= 0 && o.min_p < 1)) return wrong("min_p", "a value in [0, 1)", o.min_p);
  if (!(o.repetition_penalty > 0) || o.repetition_penalty > kLargest)
    return wrong("repetition_penalty", "more than 0", o.repetition_penalty);
  return Status::ok();
}

Status check(const SampleArgs& args) {
  ESP_RETURN_IF_ERROR(check_options(args.options));
  ArgumentChecks checks("sample");
  checks.positive("vocab", args.vocab)
      .at_most("vocab", args.vocab, std::numeric_limits<int32_t>::max())
      .size("seen_count", args.seen_count)
      .size("top_count", args.top_count)
      .at_most("top_count", args.top_count, args.vocab)
      .pointer("logits", args.logits, true)
      .pointer("seen", args.seen, args.seen_count > 0)
      .pointer("rng", args.rng, args.options.temperature > 0)
      .pointer("top_ids", args.top_ids, args.top_count > 0)
      .pointer("top_logprobs", args.top_logprobs, args.top_count > 0)
      .pointer("workspace", args.workspace, true);
  for (int64_t i = 0; checks.is_ok() && i < args.seen_count; ++i) checks.index("seen", i, args.seen[i], args.vocab);
  return checks.done();
}

// softmax(logits) as its maximum and the sum of exp(logit - maximum).
struct Normalizer {
  float maximum;
  double sum;
  double logprob(float logit) const { return static_cast<double>(logit) - maximum - std::log(sum); }
};

// NaN counts as -inf and +inf as the largest finite value. Only damaged logits pay for the second pass.
Status normalize(const SoftmaxTile& tile, float* logits, int64_t vocab, Normalizer* out) {
  out->maximum = tile.row_max(logits, vocab);
  out->sum = tile.exp_sum(logits, vocab, out->maximum, 1.0f, nullptr);
  if (std::isfinite(out->maximum) && std::isfinite(out->sum)) return Status::ok();
  for (int64_t i = 0; i < vocab; ++i)
    logits[i] = std::isnan(logits[i]) ? kMinusInfinity : std::min(logits[i], kLargest);
  out->maximum = tile.row_max(logits, vocab);
  if (out->maximum == kMinusInfinity)
    return Status("ERR_NUMERIC",
                  format_text("sample: logits: all %lld values are NaN or -inf", static_cast<long long>(vocab)));
  out->sum = tile.exp_sum(logits, vocab, out->maximum, 1.0f, nullptr);
  return Status::ok();
}

void write_top(const SampleArgs& args, const Normalizer& normalizer, Candidate* scratch) {
  select_top(args.logits, args.vocab, args.top_count, scratch);
  for (int32_t i = 0; i < args.top_count; ++i) {
    args.top_ids[i] = scratch[i].id;
    args.top_logprobs[i] = normalizer.logprob(scratch[i].value);
  }
}

// The logits to choose from: args.logits, or a copy with the penalty applied once to every distinct seen token.
const float* apply_penalty(const SampleArgs& args, const Scratch& scratch) {
  const float penalty = args.options.repetition_penalty;
  if (penalty == 1.0f || args.seen_count == 0) return args.logits;
  std::copy(args.logits, args.logits + args.vocab, scratch.processed);
  std::fill(scratch.seen, scratch.seen + args.vocab, uint8_t{0});
  for (int64_t i = 0; i < args.seen_count; ++i) {
    const int32_t id = args.seen[i];
    if (scratch.seen[id]) continue;
    scratch.seen[id] = 1;
    float& logit = scratch.processed[id];
    logit = std::min(logit < 0 ? logit * penalty : logit / penalty, kLargest);
  }
  return scratch.processed;
}

// Tokens that top-k leaves, ties with the k-th included, as ids in candidates[].id and logits in weights[].
int64_t gather_top_k(const float* logits, int64_t vocab, int64_t top_k, const Scratch& scratch) {
  const float threshold = kth_largest(logits, vocab, top_k, scratch.weights);
  int64_t count = 0;
  for (int64_t i = 0; i < vocab; ++i)
    if (logits[i] >= threshold && logits[i] > kMinusInfinity) {
      scratch.weights[count] = logits[i];
      scratch.candidates[count++].id = static_cast<int32_t>(i);
    }
  return count;
}

// One of the candidates with probability value / sum of values.
int32_t draw(const Candidate* candidates, int64_t count, Rng& rng) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += candidates[i].value;
  double left = rng.uniform() * sum;
  int32_t chosen = candidates[0].id;
  for (int64_t i = 0; i < count; ++i) {
    if (candidates[i].value <= 0) continue;
    chosen = candidates[i].id;
    left -= candidates[i].value;
    if (left < 0) break;
  }
  return chosen;
}

int32_t choose(const SoftmaxTile& tile, const SampleArgs& args, const float* logits, const Scratch& scratch) {
  const SampleOptions& options = args.options;
  const float maximum = tile.row_max(logits, args.vocab);
  if (options.temperature == 0) return static_cast<int32_t>(std::find(logits, logits + args.vocab, maximum) - logits);

  const float scale = std::min(1.0f / options.temperature, kLargest);
  const bool limited = options.top_k > 0 && options.top_k < args.vocab;
  const int64_t n = limited ? gather_top_k(logits, args.vocab, options.top_k, scratch) : args.vocab;
  const double sum = tile.exp_sum(limited ? scratch.weights : logits, n, maximum, scale, scratch.weights);

  // The largest weight is 1, so min-p compares with min_p itself. Tokens below (1 - top_p) * sum / n add up to less
  // than 1 - top_p of the mass: none of them is in the nucleus, so they need no ordering.
  const bool nucleus = options.top_p < 1;
  const double cutoff = nucleus ? (1.0 - options.top_p) * sum / static_cast<double>(n) : 0.0;
  const double least = std::max<double>(options.min_p, cutoff);
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float weight = scratch.weights[i];
    if (weight < least || weight == 0) continue;
    const int32_t id = limited ? scratch.candidates[i].id : static_cast<int32_t>(i);
    scratch.candidates[count++] = {weight, id};
  }
  const int64_t kept = nucleus ? select_nucleus(scratch.candidates, count, options.top_p * sum) : count;
  return draw(scratch.candidates + (count - kept), kept, *args.rng);
}

}  // namespace

size_t sample_workspace_size(int64_t vocab) {
  Arena arena;
  carve(arena, vocab < 0 ? 0 : vocab);
  return arena.used();
}

Status sample(const CpuContext& context, SampleArgs& args) {
  ESP_RETURN_IF_ERROR(check(args));
  const SoftmaxTile& tile = softmax_tile(context.isa);
  Arena arena(args.workspace, sample_workspace_size(args.vocab));
  const Scratch scratch = carve(arena, args.vocab);
  Normalizer normalizer;
  ESP_RETURN_IF_ERROR(normalize(tile, args.logits, args.vocab, &normalizer));
  write_top(args, normalizer, scratch.candidates);
  args.id = choose(tile, args, apply_penalty(args, scratch), scratch);
  args.logprob = normalizer.logprob(args.logits[args.id]);
  return Status::ok();
}

}  // namespace espalier
