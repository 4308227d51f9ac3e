// gemm over unpacked operands.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm/gemm.h"

#include "napi/testing/guarded_workspace.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { isa, threads, a, b, c, m, n, k, lda, ldb, ldc, transposeA, transposeB, alpha, beta, reference?, workspaceMissing? }
Napi::Value test_gemm(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  const CpuContext context = context_of(options);
  GemmArgs args;
  args.a = data_of<float>(options, "a");
  args.b = data_of<float>(options, "b");
  args.c = data_of<float>(options, "c");
  args.m = int_of(options, "m");
  args.n = int_of(options, "n");
  args.k = int_of(options, "k");
  args.lda = int_of(options, "lda");
  args.ldb = int_of(options, "ldb");
  args.ldc = int_of(options, "ldc");
  args.transpose_a = bool_of(options, "transposeA");
  args.transpose_b = bool_of(options, "transposeB");
  args.alpha = static_cast<float>(number_of(options, "alpha", 1));
  args.beta = static_cast<float>(number_of(options, "beta", 0));
  if (bool_of(options, "reference")) {
    throw_if_error(info.Env(), gemm_ref(args));
    return info.Env().Undefined();
  }
  const size_t bytes = gemm_workspace_size(context, args);
  const GuardedWorkspace workspace(info.Env(), bytes);
  throw_if_error(info.Env(), gemm(context, args, workspace.data(), bytes - int_of(options, "workspaceMissing")));
  workspace.check();
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}
ESP_TEST_EXPORT(gemm);

}  // namespace
}  // namespace espalier::testing
