// Arena: bump allocation over one AlignedBuffer. Used twice: once without memory to measure, once to carve.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

namespace espalier {

class Arena {
 public:
  Arena() = default;  // measures only: take() returns nullptr and used() grows
  Arena(void* base, size_t capacity) : base_(static_cast<char*>(base)), capacity_(capacity) {}

  // 64-byte aligned; nullptr when measuring or when the arena is full.
  template <typename T>
  T* take(size_t count) {
    const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
    char* start = base_ != nullptr && used_ + bytes <= capacity_ ? base_ + used_ : nullptr;
    used_ += bytes;
    return reinterpret_cast<T*>(start);
  }
  size_t used() const { return used_; }
  void reset() { used_ = 0; }

 private:
  char* base_ = nullptr;
  size_t capacity_ = 0;
  size_t used_ = 0;
};

}  // namespace espalier
