// What the timing exports share: random operands, and timing that takes turns with the machine's ceiling.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <chrono>
#include <string>

#include "core/aligned_buffer.h"
#include "core/rng.h"
#include "kernels/ceiling/ceiling.h"
#include "napi/guard.h"

namespace espalier::testing {

inline Status random_floats(int64_t count, uint64_t seed, AlignedBuffer* buffer) {
  ESP_RETURN_IF_ERROR(buffer->reserve(count * sizeof(float)));
  Rng rng(seed);
  for (int64_t i = 0; i < count; ++i) buffer->as<float>()[i] = static_cast<float>(rng.uniform() * 2 - 1);
  return Status::ok();
}

inline ComputeCeiling ceiling_of(Napi::Env env, const std::string& name) {
  if (name == "f32") return ComputeCeiling::kF32;
  if (name == "bf16") return ComputeCeiling::kBf16;
  if (name == "int8") return ComputeCeiling::kInt8;
  throw to_js_error(env, Status("ERR_ARGUMENT", "ceiling: expected f32, bf16 or int8, found " + name));
}

// Calls body(index) `repeats` times. -> { seconds, ceiling }: of each call, and the ceiling in GOP/s (mean of one
// burst before and one after, each as long as the call), or 0 where `ceiling` is empty.
template <typename F>
Napi::Object timed(Napi::Env env, const CpuContext& context, const std::string& ceiling, int64_t repeats, F&& body) {
  using Clock = std::chrono::steady_clock;
  Napi::Float64Array seconds = Napi::Float64Array::New(env, repeats), ceilings = Napi::Float64Array::New(env, repeats);
  double before = 0;
  for (int64_t i = 0; i < repeats; ++i) {
    const Clock::time_point start = Clock::now();
    throw_if_error(env, body(i));
    seconds[i] = std::chrono::duration<double>(Clock::now() - start).count();
    if (ceiling.empty()) continue;
    const double after = ceiling_burst(context, ceiling_of(env, ceiling), seconds[i]);
    ceilings[i] = i == 0 ? after : (before + after) / 2;
    before = after;
  }
  Napi::Object out = Napi::Object::New(env);
  out["seconds"] = seconds;
  out["ceiling"] = ceilings;
  return out;
}

}  // namespace espalier::testing
