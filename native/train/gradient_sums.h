// GradientSums: adds up the gradients of all ranks, those of a layer while the backward pass goes on with the one
// below. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "train/communicator.h"
#include "train/parameters.h"

namespace espalier {

class GradientSums {
 public:
  // The parameters must outlive it, and stay where they are.
  GradientSums(std::shared_ptr<Communicator> ranks, Parameters* parameters);

  // Nothing starts early unless the gradients of the batch that follows are the last to be added.
  void expect_last(bool last) { last_ = last; }
  // The gradients of a layer are complete: starts their sums, and moves along those under way.
  Status layer_ready(int64_t layer);
  // Starts what has not started, and waits for all: afterwards every rank has the same sums.
  Status finish();

 private:
  // Gradients that lie next to each other.
  struct Range {
    float* begin;
    float* end;
  };
  Status start(size_t index);

  std::shared_ptr<Communicator> ranks_;
  std::vector<std::vector<Range>> layers_;  // the last: all that is in no layer
  std::vector<bool> started_;
  bool last_ = false;
};

}  // namespace espalier
