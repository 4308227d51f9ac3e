// HiddenStates: the residual stream of every calibration sample between two blocks, in memory or in a file that is
// mapped. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

#include "core/aligned_buffer.h"

namespace espalier {

class HiddenStates {
 public:
  HiddenStates() = default;
  ~HiddenStates();
  HiddenStates(const HiddenStates&) = delete;
  HiddenStates& operator=(const HiddenStates&) = delete;

  // path: "" for memory; otherwise a file is made there, its room reserved at once, and removed from its folder.
  // ERR_OUT_OF_MEMORY, ERR_FILE_WRITE.
  Status reserve(int64_t values, const std::string& path);
  float* data() const { return data_; }
  int64_t count() const { return count_; }

  // All values as raw float32. ERR_FILE_WRITE; ERR_FILE_READ, ERR_FILE_TRUNCATED.
  Status save(const std::string& path) const;
  Status load(const std::string& path);

 private:
  AlignedBuffer memory_;
  float* data_ = nullptr;
  int64_t count_ = 0;
  bool mapped_ = false;
};

}  // namespace espalier
