// gemm: C = alpha op(A) op(B) + beta C over unpacked row-major f32, every transpose form (training, calibration).
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// op(A) [m, k], op(B) [k, n], C [m, n], all f32 row-major; lda/ldb/ldc are the row strides of the stored matrices.
// transpose_a: A is stored [k, m]; transpose_b: B is stored [n, k]. C may not alias A or B. beta = 0 ignores C's
// contents.
struct GemmArgs {
  const float* a;
  const float* b;
  float* c;
  int64_t m, n, k;
  int64_t lda, ldb, ldc;
  bool transpose_a, transpose_b;
  float alpha, beta;
};

size_t gemm_workspace_size(const CpuContext& context, const GemmArgs& args);
// ERR_SHAPE, ERR_ARGUMENT, ERR_WORKSPACE.
Status gemm(const CpuContext& context, const GemmArgs& args, void* workspace, size_t workspace_size);
Status gemm_ref(const GemmArgs& args);

}  // namespace espalier
