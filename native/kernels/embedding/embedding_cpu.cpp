// SPDX-License-Identifier: Apache-2.0
#include "core/thread_pool.h"
#include "kernels/embedding/embedding.h"
#include "quant/weight_format.h"

namespace espalier {

Status embedding(const CpuContext& context, const EmbeddingArgs& args) {
  for (int64_t token = 0; token < args.tokens; ++token)
    if (args.ids[token] < 0 || args.ids[token] >= args.table.n)
      return Status("ERR_TOKEN_ID",
                    format_text("ids[%lld]: expected 0 <= id < %lld (the vocabulary), found %d",
                                static_cast<long long>(token), static_cast<long long>(args.table.n), args.ids[token]));
  const auto copy_rows = [&](int64_t begin, int64_t end, int) {
    for (int64_t token = begin; token < end; ++token)
      args.table.format->unpack_rows(args.table.data, args.table.n, args.table.k, args.ids[token], 1,
                                     args.out + token * args.ldo);
  };
  constexpr int64_t kSerialTokens = 16;  // below this a fork costs more than the copies
  if (args.tokens <= kSerialTokens)
    copy_rows(0, args.tokens, 0);
  else
    context.pool->run_ranges(args.tokens, 4, copy_rows);
  return Status::ok();
}

}  // namespace espalier
