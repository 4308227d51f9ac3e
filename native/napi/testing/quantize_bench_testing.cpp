// Timing of quantizing from the inside, for bench/: weights in turn from several matrices, so that they come from
// memory. SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "napi/testing/registry.h"
#include "napi/testing/timed.h"
#include "quant/number_format.h"

namespace espalier::testing {
namespace {

// { isa, threads, format, group?, symmetric?, rows, cols, matrices, repeats } -> { seconds, ceiling, bytes }: of each
// call; bytes read and written by one.
Napi::Value test_time_quantize(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  const Napi::Env env = info.Env();
  const CpuContext context = context_of(options);
  const NumberFormat* format = find_number_format(string_of(options, "format"));
  if (format == nullptr) throw to_js_error(env, Status("ERR_ARGUMENT", "format: one of " + number_format_names()));
  QuantizeOptions how;
  how.group = int_of(options, "group", -1);
  how.symmetric = bool_of(options, "symmetric", true);
  const int64_t rows = int_of(options, "rows"), cols = int_of(options, "cols");
  std::vector<AlignedBuffer> matrices(static_cast<size_t>(int_of(options, "matrices", 1)));
  for (AlignedBuffer& matrix : matrices) throw_if_error(env, random_floats(rows * cols, 1, &matrix));
  QuantizedMatrix out;
  Napi::Object times = timed(env, context, "", int_of(options, "repeats"), [&](int64_t index) {
    return quantize_matrix(*format, how, matrices[static_cast<size_t>(index) % matrices.size()].as<float>(), rows, cols,
                           context.isa, context.pool, &out);
  });
  times["bytes"] = static_cast<double>(out.codes.size() * 5 + out.scales.size() * sizeof(float));
  return times;
}
ESP_TEST_EXPORT(time_quantize);

}  // namespace
}  // namespace espalier::testing
