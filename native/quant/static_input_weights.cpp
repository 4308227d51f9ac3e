// Weight formats "int8-w8a8-static" and "fp8_e4m3-w8a8-static": packed as "int8-w8a8" and "fp8_e4m3-w8a8", followed by
// the scale of the layer's input, which is quantized with it instead of with one found in each token.
// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "quant/grouped_format.h"

namespace espalier {
namespace {

// Its sums of products are exact up to 128 * 128 * k < 2^31: with a scale that is given, x and W can both be -128.
constexpr int64_t kMaxColumns = 131071;

// kBase: id of the format that lies in front of the scale.
template <FormatName kId, FormatName kBase>
struct StaticInput {
  static const WeightFormat& base() {
    static const WeightFormat& format = *find_weight_format(kBase.text);
    return format;
  }

  static size_t packed_bytes(int64_t n, int64_t k) {
    const size_t bytes = base().packed_bytes(n, k);
    return bytes == 0 ? 0 : bytes + kInputScaleBytes;
  }

  static Status pack(const float*, int64_t n, int64_t k, void*, ThreadPool*) {
    if (n == 0 || k == 0) return Status::ok();
    return Status("ERR_WEIGHT_FORMAT",
                  format_text("format %s: no input scale is known of weights that are floats; quantize the model with "
                              "calibration data first, or use %s, which finds a scale for every token",
                              kId.text, kBase.text));
  }

  static Status pack_quantized(const QuantizedMatrix& matrix, void* packed, ThreadPool* pool) {
    if (matrix.input_scale == 0)
      return Status("ERR_WEIGHT_FORMAT", std::string("format ") + kId.text + ": the weight has no input scale");
    if (matrix.cols > kMaxColumns)
      return Status("ERR_SHAPE",
                    format_text("weight [%lld, %lld]: %s takes up to %lld columns", static_cast<long long>(matrix.rows),
                                static_cast<long long>(matrix.cols), kId.text, static_cast<long long>(kMaxColumns)));
    ESP_RETURN_IF_ERROR(base().pack_quantized(matrix, packed, pool));
    const size_t bytes = base().packed_bytes(matrix.rows, matrix.cols);
    if (bytes == 0) return Status::ok();
    char* tail = static_cast<char*>(packed) + bytes;
    std::memset(tail, 0, kInputScaleBytes);
    std::memcpy(tail, &matrix.input_scale, sizeof(float));
    return Status::ok();
  }

  static void unpack_rows(const void* packed, int64_t n, int64_t k, int64_t row_begin, int64_t count, float* out) {
    base().unpack_rows(packed, n, k, row_begin, count, out);
  }

  static WeightFormat row(const char* activation, const LinearKernel* ref, const LinearKernel* avx2,
                          const LinearKernel* avx512) {
    return {
        kId.text, activation, 8, 1, packed_bytes, pack, unpack_rows, pack_quantized, 0, {ref, avx2, avx512, nullptr},
        true};
  }
};

}  // namespace

extern const WeightFormat kWeightFormatsStatic[2];
const WeightFormat kWeightFormatsStatic[2] = {
    StaticInput<"int8-w8a8-static", "int8-w8a8">::row("int8 per tensor", &matmul_int8_int8_ref,
                                                      ESP_X86_KERNEL(matmul_int8t_int8_avx2),
                                                      ESP_X86_KERNEL(matmul_int8_int8_avx512)),
    StaticInput<"fp8_e4m3-w8a8-static", "fp8_e4m3-w8a8">::row("fp8 per tensor", &matmul_fp8_e4m3_ref,
                                                              ESP_X86_KERNEL(matmul_fp8_e4m3_avx2),
                                                              ESP_X86_KERNEL(matmul_fp8_e4m3_avx512)),
};

}  // namespace espalier
