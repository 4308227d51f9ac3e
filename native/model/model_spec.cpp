// SPDX-License-Identifier: Apache-2.0
#include "model/model_spec.h"

namespace espalier {
namespace {

Status bad(const char* field, const char* expected, int64_t found) {
  return Status("ERR_MODEL_CONFIG",
                format_text("model spec: %s: expected %s, found %lld", field, expected, static_cast<long long>(found)));
}

}  // namespace

Status check_spec(const ModelSpec& spec) {
  constexpr int64_t kLargest = int64_t{1} << 28;
  const struct {
    const char* name;
    int64_t value;
  } sizes[] = {
      {"vocabSize", spec.vocab_size}, {"hiddenSize", spec.hidden_size},    {"intermediateSize", spec.intermediate_size},
      {"numLayers", spec.num_layers}, {"numHeads", spec.num_heads},        {"numKvHeads", spec.num_kv_heads},
      {"headDim", spec.head_dim},     {"maxPositions", spec.max_positions}};
  for (const auto& size : sizes)
    if (size.value < 1 || size.value > kLargest) return bad(size.name, "1 to 2^28", size.value);
  if (spec.num_heads % spec.num_kv_heads != 0) return bad("numHeads", "a multiple of numKvHeads", spec.num_heads);
  if (spec.rope.rotary_dim < 2 || spec.rope.rotary_dim % 2 != 0 || spec.rope.rotary_dim > spec.head_dim)
    return bad("rope.rotaryDim", "an even number from 2 to headDim", spec.rope.rotary_dim);
  if (!(spec.rope.theta > 0) || !(spec.rope.factor > 0)) return bad("rope.theta, rope.factor", "positive numbers", 0);
  return Status::ok();
}

}  // namespace espalier
