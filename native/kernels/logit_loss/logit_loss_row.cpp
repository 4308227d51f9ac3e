// SPDX-License-Identifier: Apache-2.0
#include "kernels/logit_loss/logit_loss_row.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace espalier {
namespace {

constexpr GradientOutput kNoGradient = {nullptr, false};

bool compares_probabilities(LogitTermKind kind) {
  return kind == LogitTermKind::kKl || kind == LogitTermKind::kReverseKl || kind == LogitTermKind::kJsd;
}

// Whether the gradient is written to every logit.
bool is_dense(const LogitTerm& term) {
  return term.top_k == 0 || term.kind == LogitTermKind::kCrossEntropy || term.kind == LogitTermKind::kKlTail;
}

// What the student gives the tail at least: its logarithm stays finite.
constexpr double kLeastTail = 1e-7;

// A row's probabilities at one temperature.
struct Distribution {
  LogitRow row;
  double log_sum;  // log Σ exp((x - shift) scale)
};

Distribution distribution_of(const LogitLossKernels& kernels, const float* x, int64_t n, float scale) {
  const float shift = kernels.softmax.row_max(x, n);
  const double sum = kernels.softmax.exp_sum(x, n, shift, scale, nullptr);
  return {{x, shift, static_cast<float>(1.0 / sum)}, std::log(sum)};
}

// The vectors a term compares: a whole row, or its top-k gathered.
struct Compared {
  const float* student;
  const float* teacher;
  int64_t n;
};

// Terms of one row, one after another; knows where the gradient goes.
class RowTerms {
 public:
  RowTerms(const LogitLossKernels& kernels, const LogitLossArgs& args, int64_t row, const LogitLossScratch& scratch)
      : kernels_(kernels), args_(args), scratch_(scratch), row_(row), label_(args.labels[row]) {
    logits_ = args.logits + row * args.ld;
    teacher_ = args.teacher != nullptr ? args.teacher + row * args.ld_teacher : nullptr;
    top_ids_ = args.top_ids + row * args.teacher_top;
    top_values_ = args.top_values + row * args.teacher_top;
    int64_t weighted = 0;
    bool whole = true;
    for (int64_t i = 0; i < args.term_count; ++i)
      if (args.terms[i].weight != 0) {
        ++weighted;
        whole = whole && is_dense(args.terms[i]);
      }
    // One dense term may overwrite the logits as it reads them, when it is the last to need them.
    in_place_ = weighted == 1 && whole && args.terms[args.term_count - 1].weight != 0;
    gradient_ = in_place_ ? logits_ : scratch.gradient;
  }

  double run(const LogitTerm& term) {
    if (term.kind == LogitTermKind::kCrossEntropy) return cross_entropy(term);
    if (term.kind == LogitTermKind::kKlTail) return tail_divergence(term);
    Compared compared = {logits_, teacher_, args_.vocab};
    if (term.correction >= 0 && compares_probabilities(term.kind)) {
      correct_teacher(term);
      compared.teacher = scratch_.teacher;
    }
    const bool wanted = args_.gradient && term.weight != 0;
    if (term.top_k == 0) return distance(term, compared, wanted ? next_gradient() : kNoGradient);
    gather(compared.teacher, term.top_k);
    const Compared top = {scratch_.student_top, scratch_.teacher_top, term.top_k};
    const double value = distance(term, top, wanted ? GradientOutput{scratch_.gradient_top, false} : kNoGradient);
    if (wanted) scatter(term.top_k);
    return value;
  }

  // The gradient stands in the logits afterwards.
  void finish() {
    if (!args_.gradient || in_place_) return;
    const size_t bytes = static_cast<size_t>(args_.vocab) * sizeof(float);
    if (started_)
      std::memcpy(logits_, gradient_, bytes);
    else
      std::memset(logits_, 0, bytes);
  }

 private:
  // The first term stores, later ones add.
  GradientOutput next_gradient() {
    const GradientOutput out = {gradient_, started_};
    started_ = true;
    return out;
  }

  double cross_entropy(const LogitTerm& term) {
    const Distribution student = distribution_of(kernels_, logits_, args_.vocab, 1.0f);
    const double value = student.log_sum + student.row.shift - logits_[label_];
    if (args_.gradient && term.weight != 0) {
      kernels_.loss.softmax(student.row, args_.vocab, 1.0f, term.weight, next_gradient());
      gradient_[label_] -= term.weight;
    }
    return value;
  }

  // Sums over the top_k run in float64: what 1 - m leaves must not be noise.
  double tail_divergence(const LogitTerm& term) {
    const float scale = 1.0f / term.temperature;
    const Distribution student = distribution_of(kernels_, logits_, args_.vocab, scale);
    double log_sum;  // of the teacher
    if (args_.teacher_top > 0) {
      log_sum = args_.top_log_sum_exp[row_];
    } else {
      const Distribution teacher = distribution_of(kernels_, teacher_, args_.vocab, scale);
      log_sum = teacher.log_sum + static_cast<double>(teacher.row.shift) / term.temperature;
    }
    gather(teacher_, term.top_k);
    const double student_sum = student.log_sum + static_cast<double>(student.row.shift) / term.temperature;
    double loss = 0, kept = 0, given = 0;
    for (int64_t i = 0; i < term.top_k; ++i) {
      const double log_p = static_cast<double>(scratch_.teacher_top[i]) / term.temperature - log_sum;
      const double log_q = static_cast<double>(scratch_.student_top[i]) / term.temperature - student_sum;
      const double p = std::exp(log_p), q = std::exp(log_q);
      loss += p * (log_p - log_q);
      kept += p;
      given += q;
    }
    const double rest = std::max(1 - kept, 0.0), free = std::max(1 - given, kLeastTail);
    if (rest > 0) loss += rest * (std::log(rest) - std::log(free));
    if (args_.gradient && term.weight != 0) tail_gradient(term, student, log_sum, student_sum, rest / free);
    return loss;
  }

  // (1 - ratio) q everywhere, and at the top_k what makes it q - p.
  void tail_gradient(const LogitTerm& term, const Distribution& student, double log_sum, double student_sum,
                     double ratio) {
    const double factor = term.weight / term.temperature;
    kernels_.loss.softmax(student.row, args_.vocab, 1.0f / term.temperature, static_cast<float>(factor * (1 - ratio)),
                          next_gradient());
    for (int64_t i = 0; i < term.top_k; ++i) {
      const double p = std::exp(static_cast<double>(scratch_.teacher_top[i]) / term.temperature - log_sum);
      const double q = std::exp(static_cast<double>(scratch_.student_top[i]) / term.temperature - student_sum);
      gradient_[scratch_.candidates[i].id] += static_cast<float>(factor * (ratio * q - p));
    }
  }

  // scratch.teacher = the teacher's logits with the label's raised so far that their softmax is p'.
  void correct_teacher(const LogitTerm& term) {
    const float temperature = term.temperature;
    const Distribution teacher = distribution_of(kernels_, teacher_, args_.vocab, 1.0f / temperature);
    const double shift = teacher.row.shift, p_best = std::exp(-teacher.log_sum);
    const double p_label = std::exp((teacher_[label_] - shift) / temperature - teacher.log_sum);
    const double threshold = term.correction;
    const int64_t best = std::find(teacher_, teacher_ + args_.vocab, teacher.row.shift) - teacher_;
    double moved;
    if (best != label_) {
      moved = (p_best - p_label + threshold) / (1 + p_best - p_label + 1e-7);
    } else {
      const double wanted = p_label > 1 - threshold ? 1 : p_label + threshold;
      moved = (wanted - p_best) / (1 - p_best + 1e-7);
    }
    std::memcpy(scratch_.teacher, teacher_, static_cast<size_t>(args_.vocab) * sizeof(float));
    const double odds = p_label + moved / (1 - moved);  // p'_label / (1 - moved), as the others' p' / (1 - moved) = p
    scratch_.teacher[label_] = static_cast<float>(shift + (std::log(odds) + teacher.log_sum) * temperature);
  }

  void gather(const float* teacher, int64_t k) {
    if (args_.teacher_top > 0) {
      for (int64_t i = 0; i < k; ++i) scratch_.candidates[i] = {top_values_[i], top_ids_[i]};
    } else {
      select_top_set(teacher, args_.vocab, k, scratch_.maxima, scratch_.candidates);
    }
    for (int64_t i = 0; i < k; ++i) {
      scratch_.student_top[i] = logits_[scratch_.candidates[i].id];
      scratch_.teacher_top[i] = scratch_.candidates[i].value;
    }
  }

  void scatter(int64_t k) {
    if (!started_) std::memset(gradient_, 0, static_cast<size_t>(args_.vocab) * sizeof(float));
    started_ = true;
    for (int64_t i = 0; i < k; ++i) gradient_[scratch_.candidates[i].id] += scratch_.gradient_top[i];
  }

  double distance(const LogitTerm& term, const Compared& compared, GradientOutput out) {
    switch (term.kind) {
      case LogitTermKind::kLogitsMse:
        return mean_square(term, compared, out);
      case LogitTermKind::kLogitsCosine:
        return cosine(term, compared, out);
      default:
        return divergence(term, compared, out);
    }
  }

  double mean_square(const LogitTerm& term, const Compared& c, GradientOutput out) {
    const double scale = 1.0 / term.temperature, each = scale * scale / static_cast<double>(c.n);
    const double value = each * kernels_.distance.squares(c.student, c.teacher, c.n);
    const float factor = static_cast<float>(2 * each * term.weight);
    if (out.g != nullptr) kernels_.distance.combine(c.student, c.teacher, c.n, factor, -factor, out);
    return value;
  }

  // The temperature cancels but for the floor of the norms.
  double cosine(const LogitTerm& term, const Compared& c, GradientOutput out) {
    double sums[3];
    kernels_.distance.products(c.student, c.teacher, c.n, sums);
    const double least = 1e-8 * term.temperature;
    const double student = std::max(std::sqrt(sums[1]), least), teacher = std::max(std::sqrt(sums[2]), least);
    const double similarity = sums[0] / (student * teacher);
    if (out.g != nullptr)
      kernels_.distance.combine(c.student, c.teacher, c.n,
                                static_cast<float>(term.weight * similarity / (student * student)),
                                static_cast<float>(-term.weight / (student * teacher)), out);
    return 1 - similarity;
  }

  double divergence(const LogitTerm& term, const Compared& c, GradientOutput out) {
    const float scale = 1.0f / term.temperature, factor = term.weight * scale;
    const Distribution student = distribution_of(kernels_, c.student, c.n, scale);
    const Distribution teacher = distribution_of(kernels_, c.teacher, c.n, scale);
    const double gap = teacher.log_sum - student.log_sum;
    const LogitPair pair = {student.row, teacher.row, c.n, scale, static_cast<float>(gap)};
    const bool jsd = term.kind == LogitTermKind::kJsd;
    if (term.kind == LogitTermKind::kKl || (jsd && term.beta == 0)) return kernels_.loss.kl(pair, factor, out) - gap;
    if (!jsd || term.beta == 1) {
      const double mean = kernels_.loss.reverse_kl(pair);
      if (out.g != nullptr) kernels_.loss.reverse_kl_gradient(pair, static_cast<float>(mean), factor, out);
      return mean + gap;
    }
    double sums[2];
    kernels_.loss.jsd(pair, term.beta, sums);
    const float rest = 1 - term.beta;
    if (out.g != nullptr) kernels_.loss.jsd_gradient(pair, term.beta, static_cast<float>(sums[1]), factor * rest, out);
    return term.beta * sums[0] + rest * sums[1];
  }

  const LogitLossKernels& kernels_;
  const LogitLossArgs& args_;
  const LogitLossScratch& scratch_;
  const int64_t row_;
  const int64_t label_;
  float* logits_;
  const float* teacher_;
  const int32_t* top_ids_;
  const float* top_values_;
  float* gradient_;
  bool in_place_;
  bool started_ = false;
};

}  // namespace

LogitLossScratch take_logit_loss_scratch(Arena& arena, const LogitLossArgs& args) {
  int64_t top_k = 0;
  for (int64_t i = 0; i < args.term_count; ++i) top_k = std::max(top_k, args.terms[i].top_k);
  const size_t vocab = static_cast<size_t>(args.vocab), top = static_cast<size_t>(top_k);
  LogitLossScratch scratch{};
  if (args.gradient) scratch.gradient = arena.take<float>(vocab);
  const bool corrects =
      std::any_of(args.terms, args.terms + args.term_count, [](const LogitTerm& term) { return term.correction >= 0; });
  if (corrects) scratch.teacher = arena.take<float>(vocab);
  if (top == 0) return scratch;
  scratch.candidates = arena.take<Candidate>(args.teacher_top > 0 ? top : vocab);
  if (args.teacher_top == 0) scratch.maxima = arena.take<float>(vocab);
  scratch.student_top = arena.take<float>(top);
  scratch.teacher_top = arena.take<float>(top);
  scratch.gradient_top = arena.take<float>(top);
  return scratch;
}

void logit_loss_row(const LogitLossKernels& kernels, const LogitLossArgs& args, int64_t row,
                    const LogitLossScratch& scratch, double* values) {
  RowTerms terms(kernels, args, row, scratch);
  for (int64_t i = 0; i < args.term_count; ++i) values[i] = terms.run(args.terms[i]);
  terms.finish();
}

}  // namespace espalier
