// BufferAllocator: for vectors of plain numbers that are written right after they are made; huge pages for large ones,
// no zeros first. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#include "core/aligned_buffer.h"

namespace espalier {

template <typename T>
struct BufferAllocator {
  using value_type = T;
  BufferAllocator() = default;
  template <typename U>
  BufferAllocator(const BufferAllocator<U>&) {}  // as the standard library's own allocators convert

  T* allocate(size_t count) {
    const size_t bytes =
        (count * sizeof(T) + AlignedBuffer::kAlignment - 1) / AlignedBuffer::kAlignment * AlignedBuffer::kAlignment;
    void* block = AlignedBuffer::allocate(bytes);
    if (block == nullptr) throw std::bad_alloc();
    return static_cast<T*>(block);
  }
  void deallocate(T* block, size_t) { std::free(block); }

  // resize() leaves new elements as they are.
  template <typename U>
  void construct(U* at) {
    ::new (static_cast<void*>(at)) U;
  }
  template <typename U, typename... Args>
  void construct(U* at, Args&&... args) {
    ::new (static_cast<void*>(at)) U(std::forward<Args>(args)...);
  }
  bool operator==(const BufferAllocator&) const { return true; }
};

}  // namespace espalier
