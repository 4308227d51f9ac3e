// embedding_backward: adds the gradient of each token's row to its row of the table.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// ids    [tokens], each in [0, vocab)
// dout   [tokens, hidden] f32, rows lddo apart: gradient of the embedded tokens
// dtable [vocab, hidden] f32: rows are added in the order of the tokens, whatever the number of threads
struct EmbeddingBackwardArgs {
  const int32_t* ids;
  int64_t tokens;
  const float* dout;
  int64_t lddo;
  float* dtable;
  int64_t vocab, hidden;
};
// ERR_TOKEN_ID names the first id out of range.
Status embedding_backward(const CpuContext& context, const EmbeddingBackwardArgs& args);
Status embedding_backward_ref(const EmbeddingBackwardArgs& args);

}  // namespace espalier
