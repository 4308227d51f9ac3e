// Weight packing and the matmul family, weights given as f32 and packed here (64-byte aligned, as engines hold them).
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/matmul.h"

#include <cstring>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/cpu_features.h"
#include "napi/testing/guarded_workspace.h"
#include "napi/testing/registry.h"
#include "quant/number_format.h"
#include "quant/weight_format.h"

namespace espalier::testing {
namespace {

// "bf16-dot" is bf16 with the vdpbf16ps kernels, which the registry leaves out where they are slower.
const WeightFormat* bf16_dot_format() {
  static const WeightFormat format = [] {
    WeightFormat row = *find_weight_format("bf16");
    row.cpu[static_cast<int>(Isa::kAvx512Bf16)] = ESP_X86_KERNEL(matmul_bf16_bf16_avx512_bf16);
    return row;
  }();
  return &format;
}

const WeightFormat* format_of(const Napi::Object& options) {
  const std::string id = string_of(options, "format");
  if (id == "bf16-dot") return bf16_dot_format();
  const WeightFormat* format = find_weight_format(id);
  if (format == nullptr)
    throw to_js_error(options.Env(),
                      Status("ERR_ARGUMENT", "format: \"" + id + "\" is not one of " + weight_format_names()));
  return format;
}

// Formats whose input scale is given pack quantized weights alone: w is rounded first, a scale for each row.
Status pack_given(const WeightFormat& format, const float* w, int64_t n, int64_t k, float input_scale, void* packed,
                  ThreadPool* pool) {
  const bool is_float = std::strncmp(format.id, "fp8_e4m3", 8) == 0;
  QuantizedMatrix matrix;
  ESP_RETURN_IF_ERROR(quantize_matrix(*find_number_format(is_float ? "fp8_e4m3" : "int8"), QuantizeOptions(), w, n, k,
                                      current_isa(), pool, &matrix));
  matrix.input_scale = input_scale;
  return format.pack_quantized(matrix, packed, pool);
}

// { format, w, n, k, inputScale? } packed into `buffer`.
PackedMatrix pack_into(const Napi::Object& options, AlignedBuffer* buffer, ThreadPool* pool) {
  const WeightFormat* format = format_of(options);
  const int64_t n = int_of(options, "n"), k = int_of(options, "k");
  throw_if_error(options.Env(), buffer->reserve(format->packed_bytes(n, k)));
  const float* w = data_of<float>(options, "w");
  const float input_scale = static_cast<float>(number_of(options, "inputScale", 0));
  throw_if_error(options.Env(), input_scale != 0 ? pack_given(*format, w, n, k, input_scale, buffer->as<void>(), pool)
                                                 : format->pack(w, n, k, buffer->as<void>(), pool));
  return {format, buffer->as<void>(), n, k};
}

// () -> [{ id, activation, bitsPerWeight, kernels: { isa: name } }]
Napi::Value test_weight_formats(const Napi::CallbackInfo& info) {
  Napi::Array list = Napi::Array::New(info.Env());
  for (const WeightFormat* format : weight_formats()) {
    Napi::Object row = Napi::Object::New(info.Env());
    row.Set("id", format->id);
    row.Set("activation", format->activation);
    row.Set("bitsPerWeight", format->bits_per_weight);
    const CpuContext context = context_of(info[0].As<Napi::Object>());
    row.Set("kernel", select_linear_kernel(*format, context.isa)->name);
    list.Set(list.Length(), row);
  }
  return list;
}
ESP_TEST_EXPORT(weight_formats);

// { format, w, n, k, inputScale?, threads } -> Uint8Array
Napi::Value test_pack_weights(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  AlignedBuffer buffer;
  const PackedMatrix weight = pack_into(options, &buffer, context_of(options).pool);
  const size_t bytes = weight.format->packed_bytes(weight.n, weight.k);
  Napi::Uint8Array out = Napi::Uint8Array::New(info.Env(), bytes);
  if (bytes > 0) std::memcpy(out.Data(), buffer.as<void>(), bytes);
  return out;
}
ESP_TEST_EXPORT(pack_weights);

// { format, packed: Uint8Array, n, k, rowBegin, count, out }
Napi::Value test_unpack_weights(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  const WeightFormat* format = format_of(options);
  const int64_t n = int_of(options, "n"), k = int_of(options, "k");
  const size_t bytes = format->packed_bytes(n, k);
  AlignedBuffer buffer;
  throw_if_error(info.Env(), buffer.reserve(bytes));
  if (bytes > 0) std::memcpy(buffer.as<void>(), data_of<void>(options, "packed"), bytes);
  format->unpack_rows(buffer.as<void>(), n, k, int_of(options, "rowBegin"), int_of(options, "count"),
                      data_of<float>(options, "out"));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(unpack_weights);

MatmulArgs matmul_args_of(const Napi::Object& options, const Napi::Object& product, AlignedBuffer* packed,
                          ThreadPool* pool) {
  MatmulArgs args;
  args.x = data_of<float>(options, "x");
  args.ldx = int_of(options, "ldx");
  args.m = int_of(options, "m");
  args.weight = pack_into(product, packed, pool);
  args.bias = data_of<float>(product, "bias");
  args.out = data_of<float>(product, "out");
  args.ldo = int_of(product, "ldo");
  args.epilogue = bool_of(product, "accumulate") ? MatmulEpilogue::kAccumulate : MatmulEpilogue::kStore;
  return args;
}

// { isa, threads, m, x, ldx, products: [{ format, w, n, k, inputScale?, bias?, out, ldo, accumulate? }], reference?,
//   workspaceMissing? (bytes less than needed) }
Napi::Value test_matmul(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  const CpuContext context = context_of(options);
  const Napi::Array products = options.Get("products").As<Napi::Array>();
  std::vector<AlignedBuffer> packed(products.Length());
  std::vector<MatmulArgs> args(products.Length());
  for (uint32_t i = 0; i < products.Length(); ++i)
    args[i] = matmul_args_of(options, products.Get(i).As<Napi::Object>(), &packed[i], context.pool);
  if (bool_of(options, "reference")) {
    for (const MatmulArgs& one : args) throw_if_error(info.Env(), matmul_ref(one));
    return info.Env().Undefined();
  }
  const int count = static_cast<int>(args.size());
  const size_t bytes = matmul_workspace_size(context, args.data(), count);
  const GuardedWorkspace workspace(info.Env(), bytes);
  throw_if_error(info.Env(),
                 matmul(context, args.data(), count, workspace.data(), bytes - int_of(options, "workspaceMissing")));
  workspace.check();
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}
ESP_TEST_EXPORT(matmul);

// { isa, threads, m, x, ldx, out, ldo, gate: { format, w, n, k, bias? }, up: the same }
Napi::Value test_matmul_swiglu(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  const CpuContext context = context_of(options);
  const Napi::Object gate = options.Get("gate").As<Napi::Object>(), up = options.Get("up").As<Napi::Object>();
  AlignedBuffer packed[2];
  MatmulSwigluArgs args;
  args.x = data_of<float>(options, "x");
  args.ldx = int_of(options, "ldx");
  args.gate = pack_into(gate, &packed[0], context.pool);
  args.up = pack_into(up, &packed[1], context.pool);
  args.gate_bias = data_of<float>(gate, "bias");
  args.up_bias = data_of<float>(up, "bias");
  args.out = data_of<float>(options, "out");
  args.ldo = int_of(options, "ldo");
  args.m = int_of(options, "m");
  const size_t bytes = matmul_swiglu_workspace_size(context, args);
  const GuardedWorkspace workspace(info.Env(), bytes);
  throw_if_error(info.Env(), matmul_swiglu(context, args, workspace.data(), bytes));
  workspace.check();
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}
ESP_TEST_EXPORT(matmul_swiglu);

}  // namespace
}  // namespace espalier::testing
