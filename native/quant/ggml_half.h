// An f16 in a block of bytes, any alignment.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <cstring>

#include "core/dtype.h"

namespace espalier {

inline float load_half(const uint8_t* bytes) {
  uint16_t half;
  std::memcpy(&half, bytes, sizeof half);
  return f16_to_f32(half);
}

// False when the value is beyond f16.
inline bool store_half(float value, uint8_t* bytes) {
  const uint16_t half = f32_to_f16(value);
  std::memcpy(bytes, &half, sizeof half);
  return (half & 0x7c00u) != 0x7c00u;
}

}  // namespace espalier
