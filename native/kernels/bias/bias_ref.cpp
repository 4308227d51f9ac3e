// SPDX-License-Identifier: Apache-2.0
#include "kernels/bias/bias.h"

namespace espalier {

Status bias_rows_ref(const BiasRowsArgs& args) {
  for (int64_t token = 0; token < args.tokens; ++token)
    for (int64_t i = 0; i < args.width; ++i) {
      const float x = args.x != nullptr ? args.x[token * args.ldx + i] : 0.0f;
      args.out[token * args.ldo + i] = x + (args.bias != nullptr ? args.bias[i] : 0.0f);
    }
  return Status::ok();
}

Status bias_backward_ref(const BiasBackwardArgs& args) {
  for (int64_t i = 0; i < args.width; ++i) {
    double sum = args.dbias[i];
    for (int64_t token = 0; token < args.tokens; ++token) sum += args.dout[token * args.lddo + i];
    args.dbias[i] = static_cast<float>(sum);
  }
  return Status::ok();
}

}  // namespace espalier
