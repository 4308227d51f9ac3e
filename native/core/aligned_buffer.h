// AlignedBuffer: owned memory, 64-byte aligned, move-only. Allocation failure is a Status, not an exception.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdlib>
#include <utility>

#include "core/status.h"

namespace espalier {

class AlignedBuffer {
 public:
  static constexpr size_t kAlignment = 64;

  AlignedBuffer() = default;
  AlignedBuffer(AlignedBuffer&& other) noexcept { swap(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~AlignedBuffer() { std::free(data_); }

  // Contents are lost; keeps the old block when it is large enough. ERR_OUT_OF_MEMORY.
  Status reserve(size_t bytes) {
    if (bytes <= size_) return Status::ok();
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    void* fresh = rounded < bytes ? nullptr : std::aligned_alloc(kAlignment, rounded);
    if (fresh == nullptr) return Status("ERR_OUT_OF_MEMORY", format_text("cannot allocate %zu bytes", bytes));
    std::free(data_);
    data_ = fresh;
    size_ = rounded;
    return Status::ok();
  }

  void release() {
    std::free(data_);
    data_ = nullptr;
    size_ = 0;
  }

  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  size_t size() const { return size_; }

 private:
  void swap(AlignedBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  void* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace espalier
