// Ceilings of scalar code, for completeness of the ISA ladder.
// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "kernels/ceiling/ceiling_loops.h"

namespace espalier {
namespace {

constexpr int kChains = 8;

void read(const char* data, size_t bytes, float* sink) {
  uint64_t sums[kChains] = {};
  for (size_t i = 0; i < bytes; i += sizeof(sums))
    for (int chain = 0; chain < kChains; ++chain) {
      uint64_t word;
      std::memcpy(&word, data + i + chain * 8, 8);
      sums[chain] += word;
    }
  for (uint64_t sum : sums) *sink += static_cast<float>(sum);
}

void copy(const char* from, char* to, size_t bytes) { std::memcpy(to, from, bytes); }

// The reference accumulates in float64.
void multiply_add(int64_t rounds, float* sink) {
  double acc[kChains] = {};
  const double a = 0.75 + *sink * 0;
  for (int64_t round = 0; round < rounds; ++round)
    for (double& chain : acc) chain = chain * a + 0.5;
  for (double chain : acc) *sink += static_cast<float>(chain);
}

void multiply_add_int(int64_t rounds, float* sink) {
  uint32_t acc[kChains] = {};
  const uint32_t a = 77u + static_cast<uint32_t>(*sink * 0);
  for (int64_t round = 0; round < rounds; ++round)
    for (uint32_t& chain : acc) chain = chain * a + 3u;
  for (uint32_t chain : acc) *sink += static_cast<float>(chain);
}

}  // namespace

const CeilingLoops ceiling_ref = {"ceiling_ref", read,
                                  copy,          {multiply_add, 2 * kChains},
                                  {nullptr, 0},  {{multiply_add_int, 2 * kChains}, {nullptr, 0}}};

}  // namespace espalier
