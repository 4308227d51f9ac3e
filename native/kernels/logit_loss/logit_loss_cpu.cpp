// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/checks.h"
#include "kernels/dispatch.h"
#include "kernels/logit_loss/logit_loss.h"
#include "kernels/logit_loss/logit_loss_row.h"

namespace espalier {
namespace {

const LogitLossTile* const kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(&logit_loss_tile_avx2),
                                                   ESP_X86_VARIANT(&logit_loss_tile_avx512), nullptr};

Status check_number(const char* name, int64_t term, float value, bool good, const char* expected) {
  if (good) return Status::ok();
  return Status("ERR_ARGUMENT", format_text("logit_loss: terms[%lld].%s: expected %s, found %g",
                                            static_cast<long long>(term), name, expected, value));
}

// A term over the teacher's largest logits alone.
Status check_top_term(const LogitLossArgs& args, int64_t i) {
  const LogitTerm& term = args.terms[i];
  ESP_RETURN_IF_ERROR(check_number("correction", i, term.correction, term.correction < 0, "none without all logits"));
  const bool known = term.kind != LogitTermKind::kKlTail || term.temperature == 1;
  ESP_RETURN_IF_ERROR(check_number("temperature", i, term.temperature, known, "1 without all logits"));
  return ArgumentChecks("logit_loss")
      .positive("terms.top_k", term.top_k)
      .at_most("terms.top_k", term.top_k, args.teacher_top)
      .done();
}

Status check_term(const LogitLossArgs& args, int64_t i) {
  const LogitTerm& term = args.terms[i];
  ArgumentChecks checks("logit_loss");
  checks.index("terms.kind", i, static_cast<int64_t>(term.kind), static_cast<int64_t>(LogitTermKind::kKlTail) + 1)
      .size("terms.top_k", term.top_k)
      .at_most("terms.top_k", term.top_k, args.vocab);
  ESP_RETURN_IF_ERROR(checks.done());
  ESP_RETURN_IF_ERROR(check_number("weight", i, term.weight, std::isfinite(term.weight), "a finite number"));
  if (term.kind == LogitTermKind::kCrossEntropy) return Status::ok();
  const bool warm = std::isfinite(term.temperature) && term.temperature > 0;
  ESP_RETURN_IF_ERROR(check_number("temperature", i, term.temperature, warm, "more than 0"));
  ESP_RETURN_IF_ERROR(check_number("correction", i, term.correction, term.correction < 1, "below 1"));
  if (args.teacher_top > 0) ESP_RETURN_IF_ERROR(check_top_term(args, i));
  if (term.kind == LogitTermKind::kKlTail)
    ESP_RETURN_IF_ERROR(ArgumentChecks("logit_loss").positive("terms.top_k", term.top_k).done());
  if (term.kind != LogitTermKind::kJsd) return Status::ok();
  return check_number("beta", i, term.beta, term.beta >= 0 && term.beta <= 1, "0 to 1");
}

// All but the pointers to rows, which need not be known yet when a workspace is sized.
Status check_sizes(const LogitLossArgs& args) {
  ArgumentChecks checks("logit_loss");
  checks.size("rows", args.rows)
      .positive("vocab", args.vocab)
      .stride("ld", args.ld, args.vocab)
      .size("term_count", args.term_count)
      .at_most("term_count", args.term_count, kMaxLogitTerms)
      .pointer("terms", args.terms, args.term_count > 0)
      .size("teacher_top", args.teacher_top)
      .at_most("teacher_top", args.teacher_top, args.vocab);
  ESP_RETURN_IF_ERROR(checks.done());
  for (int64_t i = 0; i < args.term_count; ++i) ESP_RETURN_IF_ERROR(check_term(args, i));
  return Status::ok();
}

Status check(const LogitLossArgs& args) {
  ESP_RETURN_IF_ERROR(check_sizes(args));
  bool compares = false;
  for (int64_t i = 0; i < args.term_count; ++i) compares |= args.terms[i].kind != LogitTermKind::kCrossEntropy;
  const bool cached = args.teacher_top > 0, teacher = compares && !cached;
  const bool tail = std::any_of(args.terms, args.terms + args.term_count,
                                [](const LogitTerm& term) { return term.kind == LogitTermKind::kKlTail; });
  ArgumentChecks checks("logit_loss");
  checks.pointer("logits", args.logits, args.rows > 0)
      .pointer("labels", args.labels, args.rows > 0)
      .pointer("sums", args.sums, args.term_count > 0)
      .pointer("teacher", args.teacher, teacher && args.rows > 0)
      .pointer("top_ids", args.top_ids, cached && args.rows > 0)
      .pointer("top_values", args.top_values, cached && args.rows > 0)
      .pointer("top_log_sum_exp", args.top_log_sum_exp, cached && tail && args.rows > 0);
  if (teacher) checks.stride("ld_teacher", args.ld_teacher, args.vocab);
  for (int64_t row = 0; checks.is_ok() && row < args.rows; ++row)
    if (args.labels[row] != kIgnoredLabel) checks.index("labels", row, args.labels[row], args.vocab);
  for (int64_t i = 0; checks.is_ok() && i < args.rows * args.teacher_top; ++i)
    checks.index("top_ids", i, args.top_ids[i], args.vocab);
  return checks.done();
}

int thread_count(const CpuContext& context) { return context.pool != nullptr ? context.pool->threads() : 1; }

struct Workspace {
  double* values;             // [rows, terms]
  LogitLossScratch* scratch;  // one for each thread
};

Workspace carve(Arena& arena, const LogitLossArgs& args, int threads) {
  Workspace workspace;
  workspace.values = arena.take<double>(static_cast<size_t>(args.rows * args.term_count));
  workspace.scratch = arena.take<LogitLossScratch>(static_cast<size_t>(threads));
  for (int thread = 0; thread < threads; ++thread) {
    const LogitLossScratch scratch = take_logit_loss_scratch(arena, args);
    if (workspace.scratch != nullptr) workspace.scratch[thread] = scratch;
  }
  return workspace;
}

void run_row(const LogitLossKernels& kernels, const LogitLossArgs& args, int64_t row, const LogitLossScratch& scratch,
             double* values) {
  if (args.labels[row] != kIgnoredLabel) return logit_loss_row(kernels, args, row, scratch, values);
  for (int64_t i = 0; i < args.term_count; ++i) values[i] = 0;
  if (args.gradient) std::memset(args.logits + row * args.ld, 0, static_cast<size_t>(args.vocab) * sizeof(float));
}

}  // namespace

size_t logit_loss_workspace_size(const CpuContext& context, const LogitLossArgs& args) {
  if (best_variant("logit_loss", kVariants, context.isa) == nullptr || !check_sizes(args).is_ok()) return 0;
  Arena arena;
  carve(arena, args, thread_count(context));
  return arena.used();
}

Status logit_loss(const CpuContext& context, const LogitLossArgs& args, void* workspace, size_t workspace_size) {
  ESP_RETURN_IF_ERROR(check(args));
  const LogitLossTile* tile = best_variant("logit_loss", kVariants, context.isa);
  if (tile == nullptr) return logit_loss_ref(args);
  Arena arena(workspace, workspace_size);
  const Workspace parts = carve(arena, args, thread_count(context));
  ESP_RETURN_IF_ERROR(ArgumentChecks("logit_loss").workspace(workspace, workspace_size, arena.used()).done());
  const LogitLossKernels kernels = {*tile, *distance_tile(context.isa), softmax_tile(context.isa)};
  const auto run_task = [&](int64_t row, int thread) {
    run_row(kernels, args, row, parts.scratch[thread], parts.values + row * args.term_count);
  };
  if (context.pool != nullptr && args.rows * args.vocab * 8 >= kSerialElements) {
    context.pool->run(args.rows, run_task);
  } else {
    for (int64_t row = 0; row < args.rows; ++row) run_task(row, 0);
  }
  for (int64_t row = 0; row < args.rows; ++row)
    for (int64_t i = 0; i < args.term_count; ++i) args.sums[i] += parts.values[row * args.term_count + i];
  return Status::ok();
}

}  // namespace espalier
