// What weight formats in groups of columns share (grouped_layout.h). Each is a row made of a Traits type:
//   kId            "int4-g64"
//   kNumberFormat  "int4": the number format that `pack` quantizes with
//   kType, kZeros  codes, and whether there are zero points
//   kGroup         columns that share a scale; 0: the whole row
//   kByColumn      codes lie [k][16] (fp8) instead of in words of consecutive k
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstring>

#include "core/cpu_features.h"
#include "quant/grouped_layout.h"
#include "quant/number_format.h"
#include "quant/pack_panels.h"
#include "quant/weight_format.h"

namespace espalier {

// A string as a template argument.
template <size_t kSize>
struct FormatName {
  char text[kSize];
  constexpr FormatName(const char (&from)[kSize]) {
    for (size_t i = 0; i < kSize; ++i) text[i] = from[i];
  }
};

template <FormatName kName, FormatName kNumbers, CodeType kCodes, int64_t kColumns, bool kHasZeros = false>
struct GroupedTraits {
  static constexpr const char* kId = kName.text;
  static constexpr const char* kNumberFormat = kNumbers.text;
  static constexpr CodeType kType = kCodes;
  static constexpr int64_t kGroup = kColumns;
  static constexpr bool kZeros = kHasZeros;
  static constexpr bool kByColumn = kCodes == CodeType::kFp8E4M3 || kCodes == CodeType::kFp8E5M2;
};

template <typename Traits>
struct GroupedFormat {
  static constexpr int kBits =
      Traits::kType == CodeType::kInt8 || Traits::kType == CodeType::kFp8E4M3 || Traits::kType == CodeType::kFp8E5M2
          ? 8
          : 4;

  static GroupedLayout layout_of(int64_t k) { return grouped_layout(Traits::kGroup, k, kBits, Traits::kZeros); }

  static size_t packed_bytes(int64_t n, int64_t k) {
    return n == 0 || k == 0 ? 0 : static_cast<size_t>(panel_count(n) * grouped_panel_bytes(layout_of(k), k));
  }

  // The code of 0, and how int8 is kept.
  static uint8_t zero_code() { return Traits::kType == CodeType::kInt4 ? 8 : Traits::kType == CodeType::kNf4 ? 7 : 0; }
  static uint8_t stored(uint8_t code) { return Traits::kType == CodeType::kInt8 ? code ^ 0x80 : code; }

  // Byte of (lane, i) in a group's codes, and the shift within it.
  static int64_t byte_of(int64_t lane, int64_t i) {
    if (Traits::kByColumn) return i * kPanel + lane;
    if (kBits == 8) return i / 4 * 4 * kPanel + lane * 4 + i % 4;
    return i / 8 * 4 * kPanel + lane * 4 + i % 4;
  }
  static int shift_of(int64_t i) { return kBits == 4 ? static_cast<int>(i % 8 / 4 * 4) : 0; }

  static void pack_group(const QuantizedMatrix& matrix, int64_t panel, int64_t group, char* out) {
    const GroupedLayout layout = layout_of(matrix.cols);
    float* scales = reinterpret_cast<float*>(out);
    uint8_t* codes = reinterpret_cast<uint8_t*>(out) + layout.header_bytes;
    std::memset(codes, 0, static_cast<size_t>(layout.code_bytes));
    for (int64_t lane = 0; lane < kPanel; ++lane) {
      const int64_t row = panel * kPanel + lane, begin = group * layout.group;
      const bool inside = row < matrix.rows;
      const size_t index = inside ? matrix.scale_index(row, begin) : 0;
      scales[lane] = inside ? matrix.scales[index] : 0.0f;
      if (Traits::kZeros) scales[kPanel + lane] = inside ? matrix.zero(index) : 0.0f;
      for (int64_t i = 0; i < layout.group; ++i) {
        const bool there = inside && begin + i < matrix.cols;
        const uint8_t code = stored(there ? matrix.codes[row * matrix.cols + begin + i] : zero_code());
        codes[byte_of(lane, i)] |= static_cast<uint8_t>(code << shift_of(i));
      }
    }
  }

  static Status pack_quantized(const QuantizedMatrix& matrix, void* packed, ThreadPool* pool) {
    ESP_RETURN_IF_ERROR(check_fits(Traits::kId, matrix, Traits::kType, Traits::kGroup, Traits::kZeros));
    if (matrix.rows == 0 || matrix.cols == 0) return Status::ok();
    const GroupedLayout layout = layout_of(matrix.cols);
    const int64_t groups = ceil_div(matrix.cols, layout.group);
    for_each_panel(matrix.rows, pool, [&](int64_t panel) {
      for (int64_t group = 0; group < groups; ++group)
        pack_group(matrix, panel, group, static_cast<char*>(packed) + (panel * groups + group) * layout.group_bytes);
    });
    return Status::ok();
  }

  static Status pack(const float* w, int64_t n, int64_t k, void* packed, ThreadPool* pool) {
    QuantizeOptions options;
    options.symmetric = !Traits::kZeros;
    // As blocks: the last group of a row may be short.
    options.block_rows = 1;
    options.block_cols = layout_of(k).group;
    QuantizedMatrix matrix;
    ESP_RETURN_IF_ERROR(
        quantize_matrix(*find_number_format(Traits::kNumberFormat), options, w, n, k, current_isa(), pool, &matrix));
    return pack_quantized(matrix, packed, pool);
  }

  static void unpack_rows(const void* packed, int64_t, int64_t k, int64_t row_begin, int64_t count, float* out) {
    const GroupedLayout layout = layout_of(k);
    const auto values = code_values(Traits::kType);
    const size_t mask = values.size() - 1;
    for (int64_t row = row_begin; row < row_begin + count; ++row) {
      const char* panel = static_cast<const char*>(packed) + row / kPanel * grouped_panel_bytes(layout, k);
      const int64_t lane = row % kPanel;
      for (int64_t i = 0; i < k; ++i) {
        const char* group = panel + i / layout.group * layout.group_bytes;
        const float* scales = reinterpret_cast<const float*>(group);
        const auto* codes = reinterpret_cast<const uint8_t*>(group) + layout.header_bytes;
        const int64_t at = i % layout.group;
        const uint8_t code = stored(static_cast<uint8_t>(codes[byte_of(lane, at)] >> shift_of(at)));
        const float zero = Traits::kZeros ? scales[kPanel + lane] : 0.0f;
        *out++ = (values[code & mask] - zero) * scales[lane];
      }
    }
  }

  static WeightFormat row(const char* activation, const LinearKernel* ref, const LinearKernel* avx2,
                          const LinearKernel* avx512) {
    return {Traits::kId,    activation,     static_cast<double>(kBits),  1, packed_bytes, pack, unpack_rows,
            pack_quantized, Traits::kGroup, {ref, avx2, avx512, nullptr}};
  }
};

}  // namespace espalier
