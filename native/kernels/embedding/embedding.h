// embedding: rows of a packed table, dequantized.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"
#include "kernels/matmul/matmul.h"

namespace espalier {

// table [vocab, hidden] packed in any weight format (a tied model shares it with lm_head)
// ids   [tokens], each in [0, vocab)
// out   [tokens, hidden] f32, rows ldo apart
struct EmbeddingArgs {
  PackedMatrix table;
  const int32_t* ids;
  int64_t tokens;
  float* out;
  int64_t ldo;
};

// ERR_TOKEN_ID names the first id out of range.
Status embedding(const CpuContext& context, const EmbeddingArgs& args);

}  // namespace espalier
