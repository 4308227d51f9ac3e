// Timing of matmul from the inside, for bench/: weights in turn from several matrices, so that they come from memory.
// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/rng.h"
#include "kernels/ceiling/ceiling.h"
#include "kernels/matmul/matmul.h"
#include "napi/testing/registry.h"
#include "quant/weight_format.h"

namespace espalier::testing {
namespace {

Status random_floats(int64_t count, uint64_t seed, AlignedBuffer* buffer) {
  ESP_RETURN_IF_ERROR(buffer->reserve(count * sizeof(float)));
  Rng rng(seed);
  for (int64_t i = 0; i < count; ++i) buffer->as<float>()[i] = static_cast<float>(rng.uniform() * 2 - 1);
  return Status::ok();
}

ComputeCeiling ceiling_of(Napi::Env env, const std::string& name) {
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

// { isa, threads, format, m, n, k, matrices, repeats, sweeps?, ceiling? } -> { seconds, ceiling }, one of each per
// repeat; a repeat is one product, or with sweeps one pass over all the matrices.
Napi::Value test_time_matmul(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  const Napi::Env env = info.Env();
  const CpuContext context = context_of(options);
  const WeightFormat* format = find_weight_format(string_of(options, "format"));
  if (format == nullptr) throw to_js_error(env, Status("ERR_ARGUMENT", "format: " + weight_format_names()));
  const int64_t m = int_of(options, "m"), n = int_of(options, "n"), k = int_of(options, "k");
  AlignedBuffer w, x, out, workspace;
  throw_if_error(env, random_floats(n * k, 1, &w));
  throw_if_error(env, random_floats(m * k, 2, &x));
  throw_if_error(env, out.reserve(m * n * sizeof(float)));
  const size_t bytes = format->packed_bytes(n, k);
  std::vector<AlignedBuffer> matrices(int_of(options, "matrices", 1));
  for (AlignedBuffer& matrix : matrices) throw_if_error(env, matrix.reserve(bytes));
  throw_if_error(env, format->pack(w.as<float>(), n, k, matrices[0].as<void>(), context.pool));
  for (size_t i = 1; i < matrices.size(); ++i) std::memcpy(matrices[i].as<void>(), matrices[0].as<void>(), bytes);
  w.release();
  MatmulArgs args{x.as<float>(),         k, {format, matrices[0].as<void>(), n, k}, nullptr, out.as<float>(), n, m,
                  MatmulEpilogue::kStore};
  throw_if_error(env, workspace.reserve(matmul_workspace_size(context, &args, 1) + 64));
  const auto one = [&](int64_t index) {
    args.weight.data = matrices[index % matrices.size()].as<void>();
    return matmul(context, &args, 1, workspace.as<void>(), workspace.size());
  };
  const bool sweeps = bool_of(options, "sweeps");
  const std::string ceiling = options.Has("ceiling") ? string_of(options, "ceiling") : "";
  return timed(env, context, ceiling, int_of(options, "repeats", 1), [&](int64_t repeat) {
    if (!sweeps) return one(repeat);
    for (size_t i = 0; i < matrices.size(); ++i) ESP_RETURN_IF_ERROR(one(static_cast<int64_t>(i)));
    return Status::ok();
  });
}
ESP_TEST_EXPORT(time_matmul);

}  // namespace
}  // namespace espalier::testing
