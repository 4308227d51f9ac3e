// int4 in groups of a row's columns, as compressed-tensors quantizes and stores it ("pack-quantized").
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>

#include "core/status.h"

namespace espalier {

// W [rows, cols]; every group_size columns of a row share a scale. group_size == cols is one scale per channel.
struct Int4Shape {
  int64_t rows;
  int64_t cols;
  int64_t group_size;

  int64_t groups() const { return group_size == 0 ? 0 : cols / group_size; }  // of a row
};

// ERR_QUANT_GROUP_SIZE unless group_size is 32, 64, 128 or cols, and divides cols; ERR_SHAPE for negative sizes.
Status check_int4_shape(const Int4Shape& shape);

// Ranges by the largest values (round to nearest has no other): zero always lies inside, codes go from -8 to 7.
//   symmetric   scale = absmax / 7.5, zero point 0
//   asymmetric  scale = (max - min) / 15, zero point = -8 - min / scale, rounded half to even
// A group of zeros has scale f32 epsilon. The caller may round the scales (to bf16, say) before int4_group_quantize.
// w           [rows, cols]   f32, within +-3e38 (ERR_WEIGHT_VALUE names row and column)
// scales      [rows, groups] f32
// zero_points [rows, groups] int8; empty means symmetric
Status int4_group_ranges(const Int4Shape& shape, std::span<const float> w, std::span<float> scales,
                         std::span<int8_t> zero_points);

// q [rows, cols] int8 = w / scale + zero point, clamped to -8 ... 7, rounded half to even
// ERR_QUANT_SCALE at a scale that is not finite and positive, or a zero point outside -8 ... 7.
Status int4_group_quantize(const Int4Shape& shape, std::span<const float> w, std::span<const float> scales,
                           std::span<const int8_t> zero_points, std::span<int8_t> q);

// out [rows, cols] f32 = (q - zero point) * scale
Status int4_group_dequantize(const Int4Shape& shape, std::span<const int8_t> q, std::span<const float> scales,
                             std::span<const int8_t> zero_points, std::span<float> out);

// weight_packed: q [rows, cols] -> words [rows, ceil(cols / 8)]; column 8j + i is bits 4i ... 4i + 3 of word j, plus 8;
// the bits after the last column are 0.
inline int64_t int4_packed_words(int64_t count) { return (count + 7) / 8; }
Status int4_pack_rows(std::span<const int8_t> q, int64_t rows, int64_t cols, std::span<uint32_t> words);
Status int4_unpack_rows(std::span<const uint32_t> words, int64_t rows, int64_t cols, std::span<int8_t> q);

// weight_zero_point: the same along dimension 0, [rows, groups] -> words [ceil(rows / 8), groups].
Status int4_pack_columns(std::span<const int8_t> q, int64_t rows, int64_t cols, std::span<uint32_t> words);
Status int4_unpack_columns(std::span<const uint32_t> words, int64_t rows, int64_t cols, std::span<int8_t> q);

}  // namespace espalier
