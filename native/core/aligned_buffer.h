// AlignedBuffer: owned memory, 64-byte aligned, move-only. Allocation failure is a Status, not an exception.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/mman.h>

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
    void* fresh = rounded < bytes ? nullptr : allocate(rounded);
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

  // `bytes`, a multiple of kAlignment, to be given to free(); nullptr when there is no memory.
  // Large blocks ask for huge pages: walks of the page table cost matmul up to a third of its speed in a virtual
  // machine.
  static constexpr size_t kHugePage = size_t{2} << 20;
  static void* allocate(size_t bytes) {
    if (bytes < 2 * kHugePage) return std::aligned_alloc(kAlignment, bytes);
    const size_t whole =
        bytes / kHugePage * kHugePage;  // the tail stays in small pages: no memory beyond what was asked
    void* block = std::aligned_alloc(kHugePage, (bytes + kHugePage - 1) / kHugePage * kHugePage);
#if defined(MADV_HUGEPAGE)
    if (block != nullptr) madvise(block, whole, MADV_HUGEPAGE);
#endif
    return block;
  }

 private:
  void swap(AlignedBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  void* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace espalier
