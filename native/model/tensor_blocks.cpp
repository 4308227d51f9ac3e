// SPDX-License-Identifier: Apache-2.0
#include "model/tensor_blocks.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/aligned_buffer.h"

namespace espalier {
namespace {

constexpr int64_t kChunkFloats = 1 << 16;  // stays in the L2 cache between reading and quantizing

// Row of the model that GGUF keeps as row `row`: within a head 0, half, 1, half + 1 ...
int64_t model_row(int64_t row, int64_t head_rows) {
  const int64_t inside = row % head_rows;
  return row - inside + inside / 2 + (inside % 2) * (head_rows / 2);
}

class Encoder {
 public:
  Encoder(const MappedFile& file, const TensorSource& source, const BlockRows& rows, uint8_t* out)
      : file_(file),
        source_(source),
        rows_(rows),
        info_(*source_type_info(rows.type)),
        row_bytes_(source.cols / info_.block_elements * info_.block_bytes),
        out_(out) {}

  // Rows [begin, end) of those asked for. May run on several threads.
  Status encode(int64_t begin, int64_t end) const {
    const int64_t step = std::max<int64_t>(1, kChunkFloats / source_.cols);
    AlignedBuffer buffer;
    ESP_RETURN_IF_ERROR(buffer.reserve(static_cast<size_t>(std::min(step, end - begin) * source_.cols) * 4));
    float* values = buffer.as<float>();
    for (int64_t row = begin; row < end; row += step) {
      const int64_t count = std::min(step, end - row);
      ESP_RETURN_IF_ERROR(read(rows_.row_begin + row, count, values));
      ESP_RETURN_IF_ERROR(check_finite(row, count, values));
      uint8_t* target = out_ + row * row_bytes_;
      if (copies()) {
        ESP_RETURN_IF_ERROR(file_.read(source_.offset + static_cast<uint64_t>((rows_.row_begin + row) * row_bytes_),
                                       static_cast<uint64_t>(count * row_bytes_), target));
      } else if (!info_.quantize(values, count * source_.cols / info_.block_elements, target)) {
        return overflow(row, count, values);
      }
    }
    return Status::ok();
  }

 private:
  bool copies() const {
    return source_.type == rows_.type && source_.permute_heads == 0 && rows_.interleave_heads == 0;
  }

  Status read(int64_t row_begin, int64_t count, float* values) const {
    if (rows_.interleave_heads == 0) return read_tensor_f32(file_, source_, row_begin, count, values);
    if (source_.rows == 1) return read_interleaved_vector(values);
    const int64_t head_rows = source_.rows / rows_.interleave_heads;
    for (int64_t row = 0; row < count; ++row)
      ESP_RETURN_IF_ERROR(
          read_tensor_f32(file_, source_, model_row(row_begin + row, head_rows), 1, values + row * source_.cols));
    return Status::ok();
  }

  Status read_interleaved_vector(float* values) const {
    AlignedBuffer plain;
    ESP_RETURN_IF_ERROR(plain.reserve(static_cast<size_t>(source_.cols) * sizeof(float)));
    ESP_RETURN_IF_ERROR(read_tensor_f32(file_, source_, 0, 1, plain.as<float>()));
    for (int64_t i = 0; i < source_.cols; ++i)
      values[i] = plain.as<float>()[model_row(i, source_.cols / rows_.interleave_heads)];
    return Status::ok();
  }

  Status check_finite(int64_t row, int64_t count, const float* values) const {
    for (int64_t i = 0; i < count * source_.cols; ++i)
      if (!std::isfinite(values[i]))
        return Status("ERR_WEIGHT_VALUE",
                      format_text("row %lld, column %lld: expected a finite value, found %g",
                                  static_cast<long long>(rows_.row_begin + row + i / source_.cols),
                                  static_cast<long long>(i % source_.cols), static_cast<double>(values[i])));
    return Status::ok();
  }

  Status overflow(int64_t row, int64_t count, const float* values) const {
    float largest = 0;
    for (int64_t i = 0; i < count * source_.cols; ++i) largest = std::max(largest, std::fabs(values[i]));
    return Status(
        "ERR_WEIGHT_VALUE",
        format_text("rows %lld to %lld reach %g, beyond the range of %s", static_cast<long long>(rows_.row_begin + row),
                    static_cast<long long>(rows_.row_begin + row + count - 1), static_cast<double>(largest),
                    info_.name),
        "Write bf16 or f32 instead.");
  }

  const MappedFile& file_;
  const TensorSource& source_;
  const BlockRows& rows_;
  const SourceTypeInfo& info_;
  int64_t row_bytes_;
  uint8_t* out_;
};

Status check_rows(const TensorSource& source, const BlockRows& rows) {
  const SourceTypeInfo* info = source_type_info(rows.type);
  if (info == nullptr || info->quantize == nullptr)
    return Status("ERR_ARGUMENT", "type: expected one that can be written");
  if (source.cols % info->block_elements != 0)
    return Status("ERR_SHAPE", format_text("%lld columns are not a multiple of the %d of %s",
                                           static_cast<long long>(source.cols), info->block_elements, info->name));
  if (rows.row_begin < 0 || rows.row_count < 0 || rows.row_begin > source.rows ||
      rows.row_count > source.rows - rows.row_begin)
    return Status(
        "ERR_ARGUMENT",
        format_text("rows %lld to %lld were asked for, there are %lld", static_cast<long long>(rows.row_begin),
                    static_cast<long long>(rows.row_begin + rows.row_count), static_cast<long long>(source.rows)));
  const int64_t interleaved = source.rows == 1 ? source.cols : source.rows;
  if (rows.interleave_heads < 0 ||
      (rows.interleave_heads > 0 && interleaved % (2 * int64_t{rows.interleave_heads}) != 0))
    return Status("ERR_SHAPE", format_text("%lld rows cannot be split into %d heads of even size",
                                           static_cast<long long>(interleaved), rows.interleave_heads));
  return Status::ok();
}

}  // namespace

int64_t block_rows_bytes(const TensorSource& source, const BlockRows& rows) {
  if (!check_rows(source, rows).is_ok()) return -1;
  const SourceTypeInfo& info = *source_type_info(rows.type);
  return rows.row_count * (source.cols / info.block_elements) * info.block_bytes;
}

Status encode_block_rows(const MappedFile& file, const TensorSource& source, const BlockRows& rows, ThreadPool* pool,
                         uint8_t* out) {
  ESP_RETURN_IF_ERROR(check_tensor_source(file, source));
  ESP_RETURN_IF_ERROR(check_rows(source, rows));
  if (rows.row_count == 0 || source.cols == 0) return Status::ok();
  const Encoder encoder(file, source, rows, out);
  const int64_t grain = std::max<int64_t>(1, kChunkFloats / source.cols);
  const int64_t pieces = (rows.row_count + grain - 1) / grain;
  std::vector<Status> results(static_cast<size_t>(pieces));
  pool->run(pieces, [&](int64_t piece, int) {
    const int64_t begin = piece * grain;
    results[static_cast<size_t>(piece)] = encoder.encode(begin, std::min(rows.row_count, begin + grain));
  });
  for (const Status& result : results) ESP_RETURN_IF_ERROR(result);
  return Status::ok();
}

}  // namespace espalier
