// SPDX-License-Identifier: Apache-2.0
#include "kernels/rope/rope.h"

namespace espalier {

Status rope_ref(const RopeArgs& args) {
  const int64_t step = args.interleaved ? 2 : 1;
  const int64_t partner = args.interleaved ? 1 : args.half;
  for (int64_t token = 0; token < args.tokens; ++token) {
    const float* cos = args.cos + args.positions[token] * args.half;
    const float* sin = args.sin + args.positions[token] * args.half;
    for (int64_t head = 0; head < args.heads; ++head) {
      float* x = args.x + token * args.ldx + head * args.head_dim;
      for (int64_t i = 0; i < args.half; ++i) {
        const double a = x[i * step];
        const double b = x[i * step + partner];
        x[i * step] = static_cast<float>(a * cos[i] - b * sin[i]);
        x[i * step + partner] = static_cast<float>(b * cos[i] + a * sin[i]);
      }
    }
  }
  return Status::ok();
}

}  // namespace espalier
