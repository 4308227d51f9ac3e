// Scratch full of NaN with a guard behind it: reading it uninitialised or writing past its end shows.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <cstring>

#include "core/aligned_buffer.h"
#include "napi/guard.h"

namespace espalier::testing {

class GuardedWorkspace {
 public:
  GuardedWorkspace(Napi::Env env, size_t bytes) : env_(env), bytes_(bytes) {
    throw_if_error(env, buffer_.reserve(bytes + kGuard));
    std::memset(buffer_.as<char>(), 0xff, bytes + kGuard);
  }
  void* data() const { return buffer_.as<void>(); }
  void check() const {
    for (size_t i = 0; i < kGuard; ++i)
      if (buffer_.as<unsigned char>()[bytes_ + i] != 0xff)
        throw to_js_error(env_, Status("ERR_INTERNAL", "the kernel wrote past its workspace"));
  }

 private:
  static constexpr size_t kGuard = 256;
  Napi::Env env_;
  size_t bytes_;
  AlignedBuffer buffer_;
};

}  // namespace espalier::testing
