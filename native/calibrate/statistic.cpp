// SPDX-License-Identifier: Apache-2.0
#include "calibrate/statistic.h"

namespace espalier {
namespace {

using Maker = Status (*)(int64_t width, std::unique_ptr<Statistic>* out);
constexpr std::pair<const char*, Maker> kKinds[] = {
    {"moments", make_moments}, {"cosine", make_cosine}, {"gram", make_gram}, {"range", make_range}};

}  // namespace

Status make_statistic(const std::string& kind, int64_t width, std::unique_ptr<Statistic>* out) {
  for (const auto& [name, make] : kKinds)
    if (kind == name) return make(width, out);
  return Status("ERR_ARGUMENT", "taps: statistic: expected moments, cosine, gram or range, found \"" + kind + "\"");
}

}  // namespace espalier
