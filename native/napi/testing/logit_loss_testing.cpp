// Test export of logit_loss.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/logit_loss/logit_loss.h"

#include <algorithm>
#include <vector>

#include "napi/testing/guarded_workspace.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// [{ kind (number), weight, temperature, topK, beta }]; correctionThreshold is that of all terms
std::vector<LogitTerm> terms_of(const Napi::Object& options) {
  const Napi::Array list = options.Get("terms").As<Napi::Array>();
  std::vector<LogitTerm> terms;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Object o = list.Get(i).As<Napi::Object>();
    terms.push_back({static_cast<LogitTermKind>(int_of(o, "kind")), static_cast<float>(number_of(o, "weight", 1)),
                     static_cast<float>(number_of(o, "temperature", 1)), int_of(o, "topK"),
                     static_cast<float>(number_of(o, "beta", 0.5)),
                     static_cast<float>(number_of(options, "correctionThreshold", -1))});
  }
  return terms;
}

// { logits, ld, teacher?, ldTeacher, labels, rows, vocab, terms, sums, gradient, correctionThreshold?, topIds?,
// topValues?, teacherTop?, isa, threads, reference, workspaceShort }
Napi::Value test_logit_loss(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const std::vector<LogitTerm> terms = terms_of(o);
  LogitLossArgs args{};
  args.logits = data_of<float>(o, "logits");
  args.ld = int_of(o, "ld");
  args.teacher = data_of<float>(o, "teacher");
  args.ld_teacher = int_of(o, "ldTeacher");
  args.labels = data_of<int32_t>(o, "labels");
  args.rows = int_of(o, "rows");
  args.vocab = int_of(o, "vocab");
  args.terms = terms.data();
  args.term_count = static_cast<int64_t>(terms.size());
  args.sums = data_of<double>(o, "sums");
  args.gradient = bool_of(o, "gradient");
  args.top_ids = data_of<int32_t>(o, "topIds");
  args.top_values = data_of<float>(o, "topValues");
  args.top_log_sum_exp = data_of<float>(o, "topLogSumExp");
  args.teacher_top = int_of(o, "teacherTop");
  if (bool_of(o, "reference")) {
    throw_if_error(info.Env(), logit_loss_ref(args));
    return info.Env().Undefined();
  }
  const CpuContext context = context_of(o);
  const size_t bytes = logit_loss_workspace_size(context, args);
  const size_t held_back = std::min(bytes, static_cast<size_t>(int_of(o, "workspaceShort")));
  const GuardedWorkspace workspace(info.Env(), bytes);
  throw_if_error(info.Env(), logit_loss(context, args, workspace.data(), bytes - held_back));
  workspace.check();
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(logit_loss);

}  // namespace
}  // namespace espalier::testing
