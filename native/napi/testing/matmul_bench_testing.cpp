// Timing of matmul from the inside, for bench/: weights in turn from several matrices, so that they come from memory.
// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <string>
#include <vector>

#include "core/aligned_buffer.h"
#include "kernels/matmul/matmul.h"
#include "napi/testing/registry.h"
#include "napi/testing/timed.h"
#include "quant/weight_format.h"

namespace espalier::testing {
namespace {

// { isa, threads, format, m, n, k, matrices, repeats, sweeps?, ceiling? } -> { seconds, ceiling, bytes }: one of each
// per repeat, which is one product, or with sweeps one pass over all the matrices; bytes of a packed matrix.
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
  Napi::Object result = timed(env, context, ceiling, int_of(options, "repeats", 1), [&](int64_t repeat) {
    if (!sweeps) return one(repeat);
    for (size_t i = 0; i < matrices.size(); ++i) ESP_RETURN_IF_ERROR(one(static_cast<int64_t>(i)));
    return Status::ok();
  });
  result["bytes"] = static_cast<double>(bytes);
  return result;
}
ESP_TEST_EXPORT(time_matmul);

}  // namespace
}  // namespace espalier::testing
