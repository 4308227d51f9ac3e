// SPDX-License-Identifier: Apache-2.0
#include "kernels/logit_loss/logit_loss_tile.h"
#include "kernels/vector_avx512.h"

// after the vectors it is written in
#include "kernels/distance/distance_vector.h"

// after for_vectors and put
#include "kernels/logit_loss/logit_loss_vector.h"

namespace espalier {

const LogitLossTile logit_loss_tile_avx512 = {softmax_pass, kl_pass,          reverse_kl_pass, reverse_kl_gradient_pass,
                                              jsd_pass,     jsd_gradient_pass};

}  // namespace espalier
