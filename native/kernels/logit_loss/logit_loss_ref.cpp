// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/logit_loss/logit_loss.h"

namespace espalier {
namespace {

using Values = std::vector<double>;

// What the student gives the tail at least: its logarithm stays finite.
constexpr double kLeastTail = 1e-7;

double log_sum_exp(const Values& x) {
  const double maximum = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const double value : x) sum += std::exp(value - maximum);
  return maximum + std::log(sum);
}

Values log_softmax(Values x) {
  const double lse = log_sum_exp(x);
  for (double& value : x) value -= lse;
  return x;
}

// log p' of log p: the label-corrected teacher.
void correct(Values& log_p, int64_t label, double threshold) {
  const auto best = std::max_element(log_p.begin(), log_p.end());
  const double p_best = std::exp(*best), p_label = std::exp(log_p[label]);
  double moved;
  if (best - log_p.begin() != label) {
    moved = (p_best - p_label + threshold) / (1 + p_best - p_label + 1e-7);
  } else {
    const double wanted = p_label > 1 - threshold ? 1 : p_label + threshold;
    moved = (wanted - p_best) / (1 - p_best + 1e-7);
  }
  for (double& value : log_p) value += std::log1p(-moved);
  log_p[label] = std::log(std::exp(log_p[label]) + moved);
}

// Indices of the k largest, rising.
std::vector<int64_t> largest(const Values& x, int64_t k) {
  std::vector<int64_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return x[a] > x[b]; });
  order.resize(static_cast<size_t>(k));
  std::sort(order.begin(), order.end());
  return order;
}

Values gather(const Values& x, const std::vector<int64_t>& places) {
  Values out;
  for (const int64_t place : places) out.push_back(x[place]);
  return out;
}

double dot(const Values& a, const Values& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Σ p (log p - log q) of probabilities given by their logarithms.
double kl_divergence(const Values& log_p, const Values& log_q) {
  double sum = 0;
  for (size_t i = 0; i < log_p.size(); ++i) sum += std::exp(log_p[i]) * (log_p[i] - log_q[i]);
  return sum;
}

// The loss and d: d loss / d s. A loss whose derivative by q is u has d = q (u - Σ q u).
double divergence(const LogitTerm& term, const Values& log_q, const Values& log_p, Values& d) {
  const size_t n = log_q.size();
  const bool jsd = term.kind == LogitTermKind::kJsd;
  if (term.kind == LogitTermKind::kKl || (jsd && term.beta == 0)) {
    for (size_t i = 0; i < n; ++i) d[i] = std::exp(log_q[i]) - std::exp(log_p[i]);
    return kl_divergence(log_p, log_q);
  }
  const double beta = term.beta, rest = jsd && beta < 1 ? 1 - beta : 1;
  Values log_m = log_p;
  if (rest != 1)
    for (size_t i = 0; i < n; ++i) log_m[i] = std::log(beta * std::exp(log_p[i]) + rest * std::exp(log_q[i]));
  const double student = kl_divergence(log_q, log_m);
  for (size_t i = 0; i < n; ++i) d[i] = rest * std::exp(log_q[i]) * (log_q[i] - log_m[i] - student);
  return rest == 1 ? student : beta * kl_divergence(log_p, log_m) + rest * student;
}

// The term over scaled logits s and t; d: d term / d s.
double distance(const LogitTerm& term, const Values& s, const Values& t, Values& d) {
  const size_t n = s.size();
  d.assign(n, 0.0);
  if (term.kind == LogitTermKind::kLogitsMse) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) {
      sum += (s[i] - t[i]) * (s[i] - t[i]);
      d[i] = 2 * (s[i] - t[i]) / static_cast<double>(n);
    }
    return sum / static_cast<double>(n);
  }
  if (term.kind == LogitTermKind::kLogitsCosine) {
    const double ns = std::max(std::sqrt(dot(s, s)), 1e-8), nt = std::max(std::sqrt(dot(t, t)), 1e-8);
    const double cosine = dot(s, t) / (ns * nt);
    for (size_t i = 0; i < n; ++i) d[i] = cosine * s[i] / (ns * ns) - t[i] / (ns * nt);
    return 1 - cosine;
  }
  return divergence(term, log_softmax(s), log_softmax(t), d);
}

bool compares_probabilities(LogitTermKind kind) {
  return kind == LogitTermKind::kKl || kind == LogitTermKind::kReverseKl || kind == LogitTermKind::kJsd;
}

// The teacher's scaled logits that the term compares, and their places.
Values compared_teacher(const LogitLossArgs& args, int64_t row, const LogitTerm& term, std::vector<int64_t>& places) {
  const bool cached = args.teacher_top > 0;
  const float* teacher = cached ? args.top_values + row * args.teacher_top : args.teacher + row * args.ld_teacher;
  Values t(teacher, teacher + (cached ? term.top_k : args.vocab));
  for (double& value : t) value /= term.temperature;
  if (cached) {
    const int32_t* ids = args.top_ids + row * args.teacher_top;
    places.assign(ids, ids + term.top_k);
    return t;
  }
  if (term.correction >= 0 && compares_probabilities(term.kind)) {
    t = log_softmax(t);
    correct(t, args.labels[row], term.correction);
  }
  places.resize(t.size());
  std::iota(places.begin(), places.end(), 0);
  if (term.top_k > 0) places = largest(t, term.top_k);
  return gather(t, places);
}

// kKlTail of one row over scaled logits; its weighted gradient is added to g [vocab].
double tail_of_row(const LogitLossArgs& args, int64_t row, const LogitTerm& term, const Values& s, Values& g) {
  std::vector<int64_t> places;
  const Values t = compared_teacher(args, row, term, places);
  double log_sum = 0;
  if (args.teacher_top > 0) {
    log_sum = args.top_log_sum_exp[row];
  } else {
    const float* teacher = args.teacher + row * args.ld_teacher;
    Values all(teacher, teacher + args.vocab);
    for (double& value : all) value /= term.temperature;
    log_sum = log_sum_exp(all);
  }
  const Values log_q = log_softmax(s);
  double loss = 0, kept = 0, given = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    const double log_p = t[i] - log_sum;
    loss += std::exp(log_p) * (log_p - log_q[places[i]]);
    kept += std::exp(log_p);
    given += std::exp(log_q[places[i]]);
  }
  const double rest = std::max(1 - kept, 0.0), free = std::max(1 - given, kLeastTail);
  if (rest > 0) loss += rest * (std::log(rest) - std::log(free));
  const double factor = term.weight / term.temperature, ratio = rest / free;
  for (size_t i = 0; i < g.size(); ++i) g[i] += factor * (1 - ratio) * std::exp(log_q[i]);
  for (size_t i = 0; i < places.size(); ++i)
    g[places[i]] += factor * (ratio * std::exp(log_q[places[i]]) - std::exp(t[i] - log_sum));
  return loss;
}

// One term of one row; its weighted gradient is added to g [vocab].
double term_of_row(const LogitLossArgs& args, int64_t row, const LogitTerm& term, Values& g) {
  const float* logits = args.logits + row * args.ld;
  const int32_t label = args.labels[row];
  Values s(logits, logits + args.vocab);
  if (term.kind == LogitTermKind::kCrossEntropy) {
    const Values log_q = log_softmax(s);
    for (size_t i = 0; i < g.size(); ++i) g[i] += term.weight * std::exp(log_q[i]);
    g[label] -= term.weight;
    return -log_q[label];
  }
  for (double& value : s) value /= term.temperature;
  if (term.kind == LogitTermKind::kKlTail) return tail_of_row(args, row, term, s, g);
  std::vector<int64_t> places;
  const Values t = compared_teacher(args, row, term, places);
  Values d;
  const double loss = distance(term, gather(s, places), t, d);
  for (size_t i = 0; i < places.size(); ++i) g[places[i]] += term.weight * d[i] / term.temperature;
  return loss;
}

}  // namespace

Status logit_loss_ref(const LogitLossArgs& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    Values g(static_cast<size_t>(args.vocab), 0.0);
    if (args.labels[row] != kIgnoredLabel)
      for (int64_t i = 0; i < args.term_count; ++i) args.sums[i] += term_of_row(args, row, args.terms[i], g);
    for (int64_t i = 0; args.gradient && i < args.vocab; ++i) args.logits[row * args.ld + i] = static_cast<float>(g[i]);
  }
  return Status::ok();
}

}  // namespace espalier
