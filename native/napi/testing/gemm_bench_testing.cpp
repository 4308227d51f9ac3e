// Timing of gemm from the inside, for bench/.
// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "core/aligned_buffer.h"
#include "kernels/gemm/gemm.h"
#include "napi/testing/registry.h"
#include "napi/testing/timed.h"

namespace espalier::testing {
namespace {

// { isa, threads, m, n, k, transposeA, transposeB, beta, repeats, ceiling? } -> { seconds, ceiling } of each product
Napi::Value test_time_gemm(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  const Napi::Env env = info.Env();
  const CpuContext context = context_of(options);
  GemmArgs args{};
  args.m = int_of(options, "m");
  args.n = int_of(options, "n");
  args.k = int_of(options, "k");
  args.transpose_a = bool_of(options, "transposeA");
  args.transpose_b = bool_of(options, "transposeB");
  args.lda = args.transpose_a ? args.m : args.k;
  args.ldb = args.transpose_b ? args.k : args.n;
  args.ldc = args.n;
  args.alpha = 1;
  args.beta = static_cast<float>(number_of(options, "beta"));
  AlignedBuffer a, b, c, workspace;
  throw_if_error(env, random_floats(args.m * args.k, 1, &a));
  throw_if_error(env, random_floats(args.k * args.n, 2, &b));
  throw_if_error(env, random_floats(args.m * args.n, 3, &c));
  args.a = a.as<float>();
  args.b = b.as<float>();
  args.c = c.as<float>();
  throw_if_error(env, workspace.reserve(gemm_workspace_size(context, args) + 64));
  const std::string ceiling = options.Has("ceiling") ? string_of(options, "ceiling") : "";
  return timed(env, context, ceiling, int_of(options, "repeats", 1),
               [&](int64_t) { return gemm(context, args, workspace.as<void>(), workspace.size()); });
}
ESP_TEST_EXPORT(time_gemm);

}  // namespace
}  // namespace espalier::testing
