// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstring>

#include "core/rng.h"
#include "core/thread_pool.h"
#include "kernels/rotation/rotation.h"

namespace espalier {
namespace {

constexpr double kPi = 3.14159265358979323846;

double dct_entry(int64_t row, int64_t column, int64_t size) {
  const double angle = kPi / static_cast<double>(size) * (static_cast<double>(column) + 0.5) * static_cast<double>(row);
  return std::cos(angle) * std::sqrt((row == 0 ? 1.0 : 2.0) / static_cast<double>(size));
}

}  // namespace

Rotation::Rotation(int64_t width) : power_(1), odd_(width) {
  while (odd_ % 2 == 0) {
    odd_ /= 2;
    power_ *= 2;
  }
  Rng rng(static_cast<uint64_t>(width));
  const float scale = 1.0f / std::sqrt(static_cast<float>(power_));
  for (int64_t i = 0; i < width; ++i) signs_.push_back(rng.next() >> 63 != 0 ? scale : -scale);
  if (odd_ == 1) return;
  for (int64_t row = 0; row < odd_; ++row)
    for (int64_t column = 0; column < odd_; ++column) dct_.push_back(static_cast<float>(dct_entry(row, column, odd_)));
}

// In place over the power-of-two index; the odd index is the inner, contiguous one.
void Rotation::hadamard(float* row) const {
  for (int64_t half = 1; half < power_; half *= 2)
    for (int64_t block = 0; block < power_; block += 2 * half) {
      float* low = row + block * odd_;
      float* high = low + half * odd_;
      for (int64_t i = 0; i < half * odd_; ++i) {
        const float a = low[i], b = high[i];
        low[i] = a + b;
        high[i] = a - b;
      }
    }
}

void Rotation::mix_odd(float* row, float* scratch, bool transpose) const {
  if (odd_ == 1) return;
  std::memcpy(scratch, row, static_cast<size_t>(width()) * sizeof(float));
  std::memset(row, 0, static_cast<size_t>(width()) * sizeof(float));
  for (int64_t group = 0; group < power_; ++group)
    for (int64_t from = 0; from < odd_; ++from)
      for (int64_t to = 0; to < odd_; ++to)
        row[group * odd_ + to] +=
            scratch[group * odd_ + from] * dct_[static_cast<size_t>(transpose ? to * odd_ + from : from * odd_ + to)];
}

void Rotation::apply(float* row, float* scratch) const {
  for (int64_t i = 0; i < width(); ++i) row[i] *= signs_[static_cast<size_t>(i)];
  hadamard(row);
  mix_odd(row, scratch, false);
}

void Rotation::apply_inverse(float* row, float* scratch) const {
  mix_odd(row, scratch, true);
  hadamard(row);
  for (int64_t i = 0; i < width(); ++i) row[i] *= signs_[static_cast<size_t>(i)];
}

Status rotation(const CpuContext& context, const RotationArgs& args) {
  const int64_t width = args.rotation->width();
  const auto rotate_rows = [&](int64_t begin, int64_t end, int) {
    std::vector<float> scratch(static_cast<size_t>(width));
    for (int64_t token = begin; token < end; ++token) {
      float* row = args.out + token * args.ldo;
      if (row != args.x + token * args.ldx)
        std::memcpy(row, args.x + token * args.ldx, static_cast<size_t>(width) * sizeof(float));
      if (args.inverse)
        args.rotation->apply_inverse(row, scratch.data());
      else
        args.rotation->apply(row, scratch.data());
    }
  };
  constexpr int64_t kSerialTokens = 4;
  if (args.tokens <= kSerialTokens)
    rotate_rows(0, args.tokens, 0);
  else
    context.pool->run_ranges(args.tokens, 4, rotate_rows);
  return Status::ok();
}

Status rotation_ref(const RotationArgs& args) {
  const int64_t width = args.rotation->width();
  int64_t odd = width, power = 1;
  for (; odd % 2 == 0; odd /= 2) power *= 2;
  Rng rng(static_cast<uint64_t>(width));
  std::vector<double> signs;
  for (int64_t i = 0; i < width; ++i) signs.push_back(rng.next() >> 63 != 0 ? 1.0 : -1.0);
  const auto entry = [&](int64_t from, int64_t to) {  // R[from][to]
    const int64_t shared = (from / odd) & (to / odd);
    const double h = __builtin_popcountll(static_cast<unsigned long long>(shared)) % 2 == 0 ? 1.0 : -1.0;
    const double d = odd == 1 ? 1.0 : dct_entry(from % odd, to % odd, odd);
    return signs[static_cast<size_t>(from)] * h / std::sqrt(static_cast<double>(power)) * d;
  };
  std::vector<double> row(static_cast<size_t>(width));
  for (int64_t token = 0; token < args.tokens; ++token) {
    for (int64_t to = 0; to < width; ++to) {
      double sum = 0;
      for (int64_t from = 0; from < width; ++from)
        sum += args.x[token * args.ldx + from] * (args.inverse ? entry(to, from) : entry(from, to));
      row[static_cast<size_t>(to)] = sum;
    }
    for (int64_t i = 0; i < width; ++i)
      args.out[token * args.ldo + i] = static_cast<float>(row[static_cast<size_t>(i)]);
  }
  return Status::ok();
}

}  // namespace espalier
