// How files keep quantized weights: the tensors that belong to one weight, and the way between them and a
// QuantizedMatrix. A layout is one file here and one row of the table.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "quant/number_format.h"
#include "quant/quantized_matrix.h"

namespace espalier {

// Element types of safetensors that such tensors have.
enum class StoredType : int32_t { kF32 = 0, kF16, kBF16, kI8, kU8, kI32, kI64, kE4M3, kE5M2, kE8M0 };
struct StoredTypeInfo {
  StoredType type;
  const char* name;  // "F8_E4M3"
  int64_t bytes;
};
const StoredTypeInfo& stored_type_info(StoredType type);
// nullptr when unknown.
const StoredTypeInfo* stored_type_by_name(const std::string& name);

// One stored tensor.
struct StoredPart {
  std::shared_ptr<const MappedFile> file;
  uint64_t offset = 0, size_bytes = 0;
  StoredType type = StoredType::kF32;
  std::vector<int64_t> shape;

  int64_t elements() const;
};

struct QuantLayout;

// A weight W [rows, cols] as stored. Everything but the sizes of its parts comes from the model's configuration.
struct QuantizedSource {
  const QuantLayout* layout = nullptr;
  CodeType type = CodeType::kInt8;
  int64_t rows = 0, cols = 0;
  ScaleGrid grid;
  bool zeros = false;
  int64_t zero_offset = 0;                  // gptq: what stored zero points lack (1 in its first version)
  double nested_offset = 0;                 // bitsandbytes
  std::map<std::string, StoredPart> parts;  // by suffix

  const StoredPart* part(const char* suffix) const;
};

// A tensor to be written: `suffix` is what stands after the module's name and a dot.
struct WrittenPart {
  std::string suffix;
  StoredType type;
  std::vector<int64_t> shape;
  CodeVector bytes;
};

struct WriteOptions {
  StoredType scale_type = StoredType::kF32;  // of scales the layout leaves open: f32, f16, bf16; U8 exponents
  const char* source_dtype = "float32";      // what bitsandbytes notes as the dtype before quantization
  bool nested = false;                       // bitsandbytes: absmax quantized as well
};

struct LayoutPart {
  const char* suffix;
  const char* types;  // "F32 F16 BF16": those it may have
  bool required;
};

struct QuantLayout {
  const char* id;
  std::vector<LayoutPart> parts;
  // Shapes and types of the parts, against rows, cols and grid. ERR_QUANT_PARTS names the part.
  Status (*check)(const QuantizedSource& source);
  // Rows [row_begin, row_begin + row_count), which exist.
  Status (*read)(const QuantizedSource& source, int64_t row_begin, int64_t row_count, QuantizedMatrix* out);
  // nullptr: only read. ERR_WEIGHT_FORMAT when the layout cannot hold such a weight.
  Status (*write)(const QuantizedMatrix& matrix, const WriteOptions& options, std::vector<WrittenPart>* out);
};

const QuantLayout* find_quant_layout(const std::string& id);
const std::vector<const QuantLayout*>& quant_layouts();

// Parts are there, with types the layout allows, inside their files, and `check` agrees.
Status check_quantized_source(const QuantizedSource& source);
// Dequantized rows -> out [row_count, cols] f32.
Status read_quantized_f32(const QuantizedSource& source, int64_t row_begin, int64_t row_count, float* out);
// All of it; check_quantized holds.
Status read_quantized(const QuantizedSource& source, QuantizedMatrix* out);

}  // namespace espalier
