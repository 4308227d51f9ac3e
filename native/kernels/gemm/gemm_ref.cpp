// gemm_ref: three plain loops, float64 sums.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_check.h"

namespace espalier {

Status gemm_ref(const GemmArgs& args) {
  ESP_RETURN_IF_ERROR(check_gemm(args));
  for (int64_t row = 0; row < args.m; ++row)
    for (int64_t column = 0; column < args.n; ++column) {
      double sum = 0;
      for (int64_t i = 0; i < args.k; ++i) {
        const double a = args.transpose_a ? args.a[i * args.lda + row] : args.a[row * args.lda + i];
        const double b = args.transpose_b ? args.b[column * args.ldb + i] : args.b[i * args.ldb + column];
        sum += a * b;
      }
      float* c = args.c + row * args.ldc + column;
      const double before = args.beta == 0.0f ? 0.0 : static_cast<double>(args.beta) * *c;
      *c = static_cast<float>(args.alpha * sum + before);
    }
  return Status::ok();
}

}  // namespace espalier
