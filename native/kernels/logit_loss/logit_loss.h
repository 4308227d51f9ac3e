// logit_loss: cross-entropy and distillation terms over a chunk of logits, which become their own gradient in place.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// What a row contributes. s, t: the logits of student and teacher divided by `temperature`, whole or only at the
// teacher's top_k largest (ties: the lower index); q = softmax(s), p = softmax(t) over those n values. No term is
// multiplied by temperature².
enum class LogitTermKind : int32_t {
  kCrossEntropy,  // -log softmax(logits)[label]; temperature and top_k play no part
  kKl,            // Σ p (log p - log q)
  kReverseKl,     // Σ q (log q - log p)
  // m = beta p + (1 - beta) q: beta KL(p||m) + (1 - beta) KL(q||m). As is usual, beta = 0 means KL(p||q) and
  // beta = 1 means KL(q||p), where the formula itself would be 0.
  kJsd,
  kLogitsMse,     // Σ (s - t)² / n
  kLogitsCosine,  // 1 - s·t / (|s| |t|), each norm at least 1e-8
  // Σ p (log p - log q) over the teacher's top_k and one more value, what all the rest of them sum to; here q and p are
  // softmaxed over the whole vocabulary. Never more than kKl over all of it. top_k >= 1.
  kKlTail,
};

struct LogitTerm {
  LogitTermKind kind;
  float weight;       // of the term in the gradient; the sums are unweighted. 0: no gradient
  float temperature;  // > 0
  int64_t top_k;      // 0: the whole vocabulary; at most vocab
  float beta;         // kJsd, 0 .. 1
  // kKl, kReverseKl, kJsd: the threshold of the label correction, below 1; negative: none. p is moved towards the label
  // first (ModelOpt's MFTLoss), so that the label becomes the teacher's choice by a margin. y label, m = argmax p:
  //   m != y: u = (p_m - p_y + threshold) / (1 + p_m - p_y + 1e-7)
  //   m == y: u = (c - p_m) / (1 - p_m + 1e-7), c = p_y > 1 - threshold ? 1 : p_y + threshold
  //   p' = (1 - u) p, p'_y += u. p' is no function of the student; top_k chooses among it.
  float correction = -1;
};

constexpr int32_t kIgnoredLabel = -100;

// logits   [rows, vocab] f32, rows ld apart; with `gradient` replaced by d(Σ rows Σ terms weight * term) / d logits
// teacher  [rows, vocab] f32, rows ld_teacher apart; nullptr when all terms are cross-entropy
// labels   [rows]; the row of kIgnoredLabel counts for nothing and its gradient is 0
// terms    [term_count], at most kMaxLogitTerms
// sums     [term_count] f64, added to: Σ rows term, in the order of the rows whatever the threads
// top_ids, top_values [rows, teacher_top] i32, f32: instead of `teacher`, its largest logits, best first, and their
// ids.
//   Terms compare the first top_k of them, 1 <= top_k <= teacher_top, and correct nothing.
// top_log_sum_exp [rows] f32: log of the sum of exp over all of the teacher's logits; for kKlTail over top_values,
// whose
//   temperature is 1 then.
struct LogitLossArgs {
  float* logits;
  int64_t ld;
  const float* teacher;
  int64_t ld_teacher;
  const int32_t* labels;
  int64_t rows, vocab;
  const LogitTerm* terms;
  int64_t term_count;
  double* sums;
  bool gradient;
  const int32_t* top_ids;
  const float* top_values;
  const float* top_log_sum_exp;
  int64_t teacher_top;  // 0: `teacher` has them all
};

constexpr int64_t kMaxLogitTerms = 16;

size_t logit_loss_workspace_size(const CpuContext& context, const LogitLossArgs& args);
// ERR_ARGUMENT, ERR_SHAPE, ERR_WORKSPACE. Logits that are not finite spread through their row's sums and gradient.
Status logit_loss(const CpuContext& context, const LogitLossArgs& args, void* workspace, size_t workspace_size);
Status logit_loss_ref(const LogitLossArgs& args);

}  // namespace espalier
