// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention_train/attention_train.h"

namespace espalier {
namespace {

double dot(const float* a, const float* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

// Probabilities of the keys [first, place] for the query at `place` of sequence s; returns log Σ exp.
template <typename Args>
double probabilities(const Args& args, int64_t s, int64_t head, int64_t place, int64_t first, std::vector<double>& p) {
  const int64_t column = head / (args.heads / args.kv_heads) * args.head_dim;
  const float* q = args.q + (s * args.length + place) * args.ldq + head * args.head_dim;
  double maximum = -std::numeric_limits<double>::infinity();
  for (int64_t key = first; key <= place; ++key) {
    p[key] = args.scale * dot(q, args.k + (s * args.length + key) * args.ldk + column, args.head_dim);
    if (p[key] > maximum) maximum = p[key];
  }
  double sum = 0;
  for (int64_t key = first; key <= place; ++key) sum += p[key] = std::exp(p[key] - maximum);
  for (int64_t key = first; key <= place; ++key) p[key] /= sum;
  return maximum + std::log(sum);
}

template <typename Args>
int64_t first_key(const Args& args, int64_t row) {
  return args.document_starts != nullptr ? args.document_starts[row] : 0;
}

// [rows, width] of float64 sums -> f32 rows ld apart.
void store_sums(const std::vector<double>& sums, int64_t rows, int64_t width, float* out, int64_t ld) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < width; ++i) out[row * ld + i] = static_cast<float>(sums[row * width + i]);
}

struct GradientSums {
  std::vector<double> dq, dk, dv;  // [sequences * length, heads or kv_heads * head_dim]
};

// What the query at `place` of one head adds to the gradients.
void add_query(const AttentionBackwardArgs& args, int64_t s, int64_t head, int64_t place, std::vector<double>& p,
               GradientSums& sums) {
  const int64_t dim = args.head_dim, row = s * args.length + place, first = first_key(args, row);
  const int64_t kv_head = head / (args.heads / args.kv_heads);
  probabilities(args, s, head, place, first, p);
  const float* q = args.q + row * args.ldq + head * dim;
  const float* dout = args.dout + row * args.lddo + head * dim;
  double expected = 0;  // Σ p dp
  for (int64_t key = first; key <= place; ++key)
    expected += p[key] * dot(dout, args.v + (s * args.length + key) * args.ldv + kv_head * dim, dim);
  for (int64_t key = first; key <= place; ++key) {
    const int64_t key_row = s * args.length + key;
    const double dp = dot(dout, args.v + key_row * args.ldv + kv_head * dim, dim);
    const double ds = p[key] * (dp - expected) * args.scale;
    double* dq = &sums.dq[(row * args.heads + head) * dim];
    double* dk = &sums.dk[(key_row * args.kv_heads + kv_head) * dim];
    double* dv = &sums.dv[(key_row * args.kv_heads + kv_head) * dim];
    for (int64_t d = 0; d < dim; ++d) {
      dq[d] += ds * args.k[key_row * args.ldk + kv_head * dim + d];
      dk[d] += ds * q[d];
      dv[d] += p[key] * dout[d];
    }
  }
}

}  // namespace

Status attention_train_ref(const AttentionTrainArgs& args) {
  std::vector<double> p(static_cast<size_t>(args.length));
  for (int64_t s = 0; s < args.sequences; ++s)
    for (int64_t head = 0; head < args.heads; ++head)
      for (int64_t place = 0; place < args.length; ++place) {
        const int64_t row = s * args.length + place, first = first_key(args, row);
        const double lse = probabilities(args, s, head, place, first, p);
        args.lse[(s * args.heads + head) * args.length + place] = static_cast<float>(lse);
        const int64_t column = head / (args.heads / args.kv_heads) * args.head_dim;
        float* out = args.out + row * args.ldo + head * args.head_dim;
        for (int64_t d = 0; d < args.head_dim; ++d) {
          double sum = 0;
          for (int64_t key = first; key <= place; ++key)
            sum += p[key] * args.v[(s * args.length + key) * args.ldv + column + d];
          out[d] = static_cast<float>(sum);
        }
      }
  return Status::ok();
}

Status attention_backward_ref(const AttentionBackwardArgs& args) {
  const int64_t rows = args.sequences * args.length;
  const int64_t width = args.heads * args.head_dim, kv_width = args.kv_heads * args.head_dim;
  GradientSums sums;
  sums.dq.assign(static_cast<size_t>(rows * width), 0.0);
  sums.dk.assign(static_cast<size_t>(rows * kv_width), 0.0);
  sums.dv.assign(static_cast<size_t>(rows * kv_width), 0.0);
  std::vector<double> p(static_cast<size_t>(args.length));
  for (int64_t s = 0; s < args.sequences; ++s)
    for (int64_t head = 0; head < args.heads; ++head)
      for (int64_t place = 0; place < args.length; ++place) add_query(args, s, head, place, p, sums);
  store_sums(sums.dq, rows, width, args.dq, args.lddq);
  store_sums(sums.dk, rows, kv_width, args.dk, args.lddk);
  store_sums(sums.dv, rows, kv_width, args.dv, args.lddv);
  return Status::ok();
}

}  // namespace espalier
