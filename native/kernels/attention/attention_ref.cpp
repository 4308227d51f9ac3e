// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention/attention.h"

namespace espalier {
namespace {

float element(DType dtype, const char* base, int64_t index) {
  float value = 0;
  convert_to_f32(dtype, base + index * static_cast<int64_t>(dtype_size(dtype)), &value, 1);
  return value;
}

// One query head over keys [0, keys) of one kv head: out = softmax(scale * q K) V.
void attend(const AttentionArgs& args, const AttentionSequence& sequence, const float* q, int64_t kv_head, int64_t keys,
            std::vector<double>& weights, float* out) {
  const KvCacheView& cache = args.cache;
  const int64_t head_dim = cache.head_dim;
  const int64_t head_elements = head_dim * kKvPageTokens;
  double maximum = -std::numeric_limits<double>::infinity();
  weights.assign(static_cast<size_t>(keys), 0.0);
  for (int64_t key = 0; key < keys; ++key) {
    const char* page = cache.k_base + sequence.pages[key / kKvPageTokens] * cache.page_stride_bytes;
    double dot = 0;
    for (int64_t d = 0; d < head_dim; ++d)
      dot += static_cast<double>(q[d]) *
             element(cache.dtype, page, kv_head * head_elements + d * kKvPageTokens + key % kKvPageTokens);
    weights[key] = dot * args.scale;
    if (weights[key] > maximum) maximum = weights[key];
  }
  double sum = 0;
  for (double& weight : weights) sum += weight = std::exp(weight - maximum);
  for (int64_t d = 0; d < head_dim; ++d) {
    double value = 0;
    for (int64_t key = 0; key < keys; ++key) {
      const char* page = cache.v_base + sequence.pages[key / kKvPageTokens] * cache.page_stride_bytes;
      value +=
          weights[key] * element(cache.dtype, page, kv_head * head_elements + (key % kKvPageTokens) * head_dim + d);
    }
    out[d] = static_cast<float>(value / sum);
  }
}

}  // namespace

Status attention_ref(const AttentionArgs& args) {
  const int64_t group = args.heads / args.cache.kv_heads;
  std::vector<double> weights;
  std::vector<float> row(static_cast<size_t>(args.cache.head_dim));
  for (int64_t s = 0; s < args.count; ++s) {
    const AttentionSequence& sequence = args.sequences[s];
    for (int64_t i = 0; i < sequence.q_len; ++i) {
      const int64_t keys = args.causal ? sequence.kv_len - sequence.q_len + i + 1 : sequence.kv_len;
      for (int64_t head = 0; head < args.heads; ++head) {
        const int64_t column = head * args.cache.head_dim;
        attend(args, sequence, sequence.q + i * args.ldq + column, head / group, keys, weights, row.data());
        float* out = sequence.out + i * args.ldo + column;
        for (size_t d = 0; d < row.size(); ++d) out[d] = row[d];
      }
    }
  }
  return Status::ok();
}

}  // namespace espalier
