// SPDX-License-Identifier: Apache-2.0
#include "model/tensor_source.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/aligned_buffer.h"

namespace espalier {
namespace {

constexpr int64_t kChunkBytes = 1 << 20;  // stays in the L2 cache between reading and dequantizing

// Copies of the file pass through one buffer of at most kChunkBytes.
class BlockReader {
 public:
  BlockReader(const MappedFile& file, const TensorSource& source)
      : file_(file), source_(source), info_(*source_type_info(source.type)) {}

  // Elements [first, first + count) of the stored order, both multiples of the block, -> out
  Status read(int64_t first, int64_t count, float* out) {
    int64_t block = first / info_.block_elements;
    const int64_t end = block + count / info_.block_elements;
    const int64_t step = kChunkBytes / info_.block_bytes;
    ESP_RETURN_IF_ERROR(buffer_.reserve(static_cast<size_t>(std::min(end - block, step)) * info_.block_bytes));
    while (block < end) {
      const int64_t blocks = std::min(end - block, step);
      ESP_RETURN_IF_ERROR(file_.read(source_.offset + static_cast<uint64_t>(block) * info_.block_bytes,
                                     static_cast<uint64_t>(blocks) * info_.block_bytes, buffer_.as<void>()));
      info_.dequantize(buffer_.as<uint8_t>(), blocks, out);
      block += blocks;
      out += blocks * info_.block_elements;
    }
    return Status::ok();
  }

 private:
  const MappedFile& file_;
  const TensorSource& source_;
  const SourceTypeInfo& info_;
  AlignedBuffer buffer_;
};

// Row of the stored order that holds row `row` of the model: within a head, the stored rows are 0, half, 1, half + 1
// ...
int64_t stored_row(int64_t row, int64_t head_rows) {
  const int64_t head = row / head_rows;
  const int64_t inside = row % head_rows;
  const int64_t half = head_rows / 2;
  return head * head_rows + (inside < half ? 2 * inside : 2 * (inside - half) + 1);
}

Status shape_error(const MappedFile& file, const std::string& what) {
  return Status("ERR_SHAPE", file.path() + ": " + what);
}

}  // namespace

Status check_tensor_source(const MappedFile& file, const TensorSource& source) {
  if (source.quantized != nullptr) return check_quantized_source(*source.quantized);
  const SourceTypeInfo* info = source_type_info(source.type);
  if (info == nullptr)
    return Status("ERR_GGUF_TYPE",
                  format_text("type %d is not one of %s", static_cast<int>(source.type), source_type_names().c_str()));
  const long long rows = source.rows, cols = source.cols;
  if (rows < 0 || cols < 0 || cols % info->block_elements != 0)
    return shape_error(file, format_text("[%lld, %lld] %s: columns must be a multiple of %d", rows, cols, info->name,
                                         info->block_elements));
  int64_t bytes = 0;
  if (__builtin_mul_overflow(source.cols / info->block_elements, static_cast<int64_t>(info->block_bytes), &bytes) ||
      __builtin_mul_overflow(bytes, source.rows, &bytes) || static_cast<uint64_t>(bytes) != source.size_bytes)
    return shape_error(file, format_text("[%lld, %lld] %s does not take %llu bytes", rows, cols, info->name,
                                         static_cast<unsigned long long>(source.size_bytes)));
  const int64_t permuted = source.rows == 1 ? source.cols : source.rows;
  if (source.permute_heads < 0 || (source.permute_heads > 0 && permuted % (2 * int64_t{source.permute_heads}) != 0))
    return shape_error(file, format_text("%lld rows cannot be split into %d heads of even size",
                                         static_cast<long long>(permuted), source.permute_heads));
  return file.check(source.offset, source.size_bytes);
}

Status read_tensor_f32(const MappedFile& file, const TensorSource& source, int64_t row_begin, int64_t row_count,
                       float* out) {
  ESP_RETURN_IF_ERROR(check_tensor_source(file, source));
  if (row_begin < 0 || row_count < 0 || row_begin > source.rows || row_count > source.rows - row_begin)
    return Status("ERR_ARGUMENT",
                  format_text("rows %lld to %lld were asked for, there are %lld", static_cast<long long>(row_begin),
                              static_cast<long long>(row_begin) + static_cast<long long>(row_count),
                              static_cast<long long>(source.rows)));
  if (row_count == 0 || source.cols == 0) return Status::ok();
  if (source.quantized != nullptr) return read_quantized_f32(*source.quantized, row_begin, row_count, out);
  BlockReader reader(file, source);
  if (source.permute_heads == 0) return reader.read(row_begin * source.cols, row_count * source.cols, out);
  if (source.rows == 1) {
    std::vector<float> stored(static_cast<size_t>(source.cols));
    ESP_RETURN_IF_ERROR(reader.read(0, source.cols, stored.data()));
    for (int64_t i = 0; i < source.cols; ++i) out[i] = stored[stored_row(i, source.cols / source.permute_heads)];
    return Status::ok();
  }
  const int64_t head_rows = source.rows / source.permute_heads;
  for (int64_t row = 0; row < row_count; ++row)
    ESP_RETURN_IF_ERROR(
        reader.read(stored_row(row_begin + row, head_rows) * source.cols, source.cols, out + row * source.cols));
  return Status::ok();
}

Status narrow_f32(const MappedFile& file, const float* wide, size_t count, DType to, uint16_t* out) {
  convert_from_f32(to, wide, out, count);
  const uint16_t infinity = to == DType::kF16 ? 0x7c00u : 0x7f80u;
  for (size_t i = 0; i < count; ++i)
    if ((out[i] & 0x7fffu) == infinity && std::isfinite(wide[i]))
      return Status("ERR_WEIGHT_VALUE",
                    format_text("%s: %g is beyond the range of %s", file.path().c_str(), static_cast<double>(wide[i]),
                                dtype_info(to)->name),
                    "Write bf16 or f32 instead.");
  return Status::ok();
}

Status read_tensor_as(const MappedFile& file, const TensorSource& source, int64_t row_begin, int64_t row_count,
                      DType to, void* out) {
  if (to == DType::kF32) return read_tensor_f32(file, source, row_begin, row_count, static_cast<float*>(out));
  if (to != DType::kF16 && to != DType::kBF16) return Status("ERR_ARGUMENT", "dtype: expected f32, f16 or bf16");
  ESP_RETURN_IF_ERROR(check_tensor_source(file, source));
  if (source.cols == 0) return Status::ok();
  const int64_t step = std::max<int64_t>(1, kChunkBytes / static_cast<int64_t>(sizeof(float)) / source.cols);
  AlignedBuffer wide;
  ESP_RETURN_IF_ERROR(wide.reserve(static_cast<size_t>(std::min(step, source.rows) * source.cols) * sizeof(float)));
  uint16_t* target = static_cast<uint16_t*>(out);
  for (int64_t done = 0; done < row_count; done += step) {
    const int64_t rows = std::min(step, row_count - done);
    const size_t count = static_cast<size_t>(rows * source.cols);
    ESP_RETURN_IF_ERROR(read_tensor_f32(file, source, row_begin + done, rows, wide.as<float>()));
    ESP_RETURN_IF_ERROR(narrow_f32(file, wide.as<float>(), count, to, target));
    target += count;
  }
  return Status::ok();
}

}  // namespace espalier
