// SPDX-License-Identifier: Apache-2.0
#include "kernels/dispatch.h"
#include "kernels/distance/distance_tile.h"

namespace espalier {
namespace {

const DistanceTile* const kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(&distance_tile_avx2),
                                                  ESP_X86_VARIANT(&distance_tile_avx512), nullptr};

}  // namespace

const DistanceTile* distance_tile(Isa isa) { return best_variant("distance", kVariants, isa); }

}  // namespace espalier
