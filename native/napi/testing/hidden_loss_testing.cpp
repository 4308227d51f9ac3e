// Test export of hidden_loss.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/hidden_loss/hidden_loss.h"

#include <algorithm>

#include "napi/testing/guarded_workspace.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { student, ldStudent, teacher, ldTeacher, labels?, rows, width, kind (number), epsilon, sum (Float64Array of one),
// gradient?, ldGradient, weight, accumulate, isa, threads, reference, workspaceShort }
Napi::Value test_hidden_loss(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  HiddenLossArgs args{};
  args.student = data_of<float>(o, "student");
  args.ld_student = int_of(o, "ldStudent");
  args.teacher = data_of<float>(o, "teacher");
  args.ld_teacher = int_of(o, "ldTeacher");
  args.labels = data_of<int32_t>(o, "labels");
  args.rows = int_of(o, "rows");
  args.width = int_of(o, "width");
  args.kind = static_cast<HiddenLossKind>(int_of(o, "kind"));
  args.epsilon = static_cast<float>(number_of(o, "epsilon"));
  args.sum = data_of<double>(o, "sum");
  args.gradient = data_of<float>(o, "gradient");
  args.ld_gradient = int_of(o, "ldGradient");
  args.weight = static_cast<float>(number_of(o, "weight", 1));
  args.accumulate = bool_of(o, "accumulate");
  if (bool_of(o, "reference")) {
    throw_if_error(info.Env(), hidden_loss_ref(args));
    return info.Env().Undefined();
  }
  const CpuContext context = context_of(o);
  const size_t bytes = hidden_loss_workspace_size(context, args);
  const size_t held_back = std::min(bytes, static_cast<size_t>(int_of(o, "workspaceShort")));
  const GuardedWorkspace workspace(info.Env(), bytes);
  throw_if_error(info.Env(), hidden_loss(context, args, workspace.data(), bytes - held_back));
  workspace.check();
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(hidden_loss);

}  // namespace
}  // namespace espalier::testing
