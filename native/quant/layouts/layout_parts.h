// What layouts share: reading and writing their parts. Internal to quant/layouts/.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstring>

#include "quant/layouts/layout.h"

namespace espalier {

// "weight_scale [3, 4]: expected [3, 9]" unless the part has this shape; vectors and columns [n], [n, 1] are the same.
Status expect_shape(const QuantizedSource& source, const char* suffix, const std::vector<int64_t>& shape);
Status part_error(const char* suffix, const std::string& what);

// Elements [first, first + count) of a part, bytes as stored.
Status read_part(const StoredPart& part, int64_t first, int64_t count, void* out);
// The whole part.
Status read_whole(const StoredPart& part, std::vector<uint8_t>* out);
Status read_words(const StoredPart& part, std::vector<uint32_t>* out);
// The whole part as f32, from f32, f16, bf16, e4m3 or e8m0.
Status read_floats(const StoredPart& part, std::vector<float>* out);

// Rows [row_begin, row_begin + row_count) of scales (and zeros, or empty) that are given for the whole weight.
void set_scales(const QuantizedSource& source, const std::vector<float>& scales, const std::vector<float>& zeros,
                int64_t row_begin, int64_t row_count, QuantizedMatrix* out);

// Scales as bytes of options.scale_type; exact, as they were rounded to it before.
WrittenPart float_part(const char* suffix, const std::vector<float>& values, StoredType type,
                       std::vector<int64_t> shape);
template <typename Values>
WrittenPart plain_part(const char* suffix, const Values& values, StoredType type, std::vector<int64_t> shape) {
  WrittenPart part{suffix, type, std::move(shape), CodeVector(values.size() * sizeof(values[0]))};
  if (!values.empty()) std::memcpy(part.bytes.data(), values.data(), part.bytes.size());
  return part;
}

// Zero points as int8. ERR_WEIGHT_FORMAT when one is no whole number from least to most.
Status whole_zeros(const QuantizedMatrix& matrix, int least, int most, std::vector<int8_t>* out);

}  // namespace espalier
