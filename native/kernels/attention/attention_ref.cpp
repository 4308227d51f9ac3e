// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/attention/attention.h"
#include "quant/fp8.h"

namespace espalier {
namespace {

// One page of one kv head, read element by element.
class Page {
 public:
  Page(const KvCacheView& cache, const char* base, int32_t page, int64_t kv_head)
      : info_(*kv_dtype_info(cache.dtype)),
        scales_(base + page * cache.page_stride_bytes + kv_head * kv_head_bytes(cache.dtype, cache.head_dim)),
        elements_(scales_ + kv_scale_bytes(cache.dtype)) {}

  // Element `index`, which belongs to the token in `slot`.
  double at(int64_t index, int64_t slot) const {
    const char* element = elements_ + index * info_.size_bytes;
    float value = 0;
    if (info_.largest_code == 0) {
      convert_to_f32(info_.element, element, &value, 1);
      return value;
    }
    const uint8_t code = static_cast<uint8_t>(*element);
    value = info_.dtype == KvDType::kFp8 ? fp8_e4m3_to_f32(code) : static_cast<float>(static_cast<int8_t>(code));
    float scale = 0;
    std::memcpy(&scale, scales_ + slot * static_cast<int64_t>(sizeof(float)), sizeof(float));
    return static_cast<double>(value) * scale;
  }

 private:
  const KvDTypeInfo& info_;
  const char* scales_;
  const char* elements_;
};

// One query head over keys [0, keys) of one kv head: out = softmax(scale * q K) V.
void attend(const AttentionArgs& args, const AttentionSequence& sequence, const float* q, int64_t kv_head, int64_t keys,
            std::vector<double>& weights, float* out) {
  const KvCacheView& cache = args.cache;
  const int64_t head_dim = cache.head_dim;
  double maximum = -std::numeric_limits<double>::infinity();
  weights.assign(static_cast<size_t>(keys), 0.0);
  for (int64_t key = 0; key < keys; ++key) {
    const Page page(cache, cache.k_base, sequence.pages[key / kKvPageTokens], kv_head);
    const int64_t slot = key % kKvPageTokens;
    double dot = 0;
    for (int64_t d = 0; d < head_dim; ++d) dot += static_cast<double>(q[d]) * page.at(d * kKvPageTokens + slot, slot);
    weights[key] = dot * args.scale;
    if (weights[key] > maximum) maximum = weights[key];
  }
  double sum = 0;
  for (double& weight : weights) sum += weight = std::exp(weight - maximum);
  for (int64_t d = 0; d < head_dim; ++d) {
    double value = 0;
    for (int64_t key = 0; key < keys; ++key) {
      const Page page(cache, cache.v_base, sequence.pages[key / kKvPageTokens], kv_head);
      const int64_t slot = key % kKvPageTokens;
      value += weights[key] * page.at(slot * head_dim + d, slot);
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
