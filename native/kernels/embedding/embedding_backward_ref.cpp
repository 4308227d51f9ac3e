// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "kernels/embedding/embedding_backward.h"

namespace espalier {

Status embedding_backward_ref(const EmbeddingBackwardArgs& args) {
  std::vector<double> sums(args.dtable, args.dtable + args.vocab * args.hidden);
  for (int64_t token = 0; token < args.tokens; ++token)
    for (int64_t i = 0; i < args.hidden; ++i)
      sums[static_cast<size_t>(args.ids[token] * args.hidden + i)] += args.dout[token * args.lddo + i];
  for (size_t i = 0; i < sums.size(); ++i) args.dtable[i] = static_cast<float>(sums[i]);
  return Status::ok();
}

}  // namespace espalier
