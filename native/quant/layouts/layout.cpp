// The table of layouts, and what all of them check.
// SPDX-License-Identifier: Apache-2.0
#include "quant/layouts/layout.h"

#include "quant/layouts/layout_parts.h"

namespace espalier {

extern const QuantLayout kLayoutCodes;
extern const QuantLayout kLayoutPackQuantized;
extern const QuantLayout kLayoutBitsandbytes;
extern const QuantLayout kLayoutGptq;
extern const QuantLayout kLayoutAwq;
extern const QuantLayout kLayoutNvFp4;
extern const QuantLayout kLayoutMxFp4;

namespace {

constexpr StoredTypeInfo kStoredTypes[] = {
    {StoredType::kF32, "F32", 4},      {StoredType::kF16, "F16", 2},      {StoredType::kBF16, "BF16", 2},
    {StoredType::kI8, "I8", 1},        {StoredType::kU8, "U8", 1},        {StoredType::kI32, "I32", 4},
    {StoredType::kI64, "I64", 8},      {StoredType::kE4M3, "F8_E4M3", 1}, {StoredType::kE5M2, "F8_E5M2", 1},
    {StoredType::kE8M0, "F8_E8M0", 1},
};

bool allows(const char* types, const char* name) {
  const std::string all = std::string(" ") + types + " ";
  return all.find(std::string(" ") + name + " ") != std::string::npos;
}

Status check_part(const LayoutPart& expected, const StoredPart& part) {
  const StoredTypeInfo& info = stored_type_info(part.type);
  if (!allows(expected.types, info.name))
    return part_error(expected.suffix, std::string("expected ") + expected.types + ", found " + info.name);
  if (part.file == nullptr || part.size_bytes != static_cast<uint64_t>(part.elements() * info.bytes))
    return part_error(expected.suffix,
                      format_text("%llu bytes do not hold %lld of %s", static_cast<unsigned long long>(part.size_bytes),
                                  static_cast<long long>(part.elements()), info.name));
  return part.file->check(part.offset, part.size_bytes);
}

}  // namespace

const StoredTypeInfo& stored_type_info(StoredType type) { return kStoredTypes[static_cast<int>(type)]; }

const StoredTypeInfo* stored_type_by_name(const std::string& name) {
  for (const StoredTypeInfo& info : kStoredTypes)
    if (name == info.name) return &info;
  return nullptr;
}

int64_t StoredPart::elements() const {
  int64_t product = 1;
  for (const int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(product, size, &product)) return -1;
  return product;
}

const StoredPart* QuantizedSource::part(const char* suffix) const {
  const auto found = parts.find(suffix);
  return found == parts.end() ? nullptr : &found->second;
}

const std::vector<const QuantLayout*>& quant_layouts() {
  // Never destroyed: threads may run on while the process exits.
  static const auto& table = *new std::vector<const QuantLayout*>{
      &kLayoutCodes, &kLayoutPackQuantized, &kLayoutBitsandbytes, &kLayoutGptq,
      &kLayoutAwq,   &kLayoutNvFp4,         &kLayoutMxFp4,
  };
  return table;
}

const QuantLayout* find_quant_layout(const std::string& id) {
  for (const QuantLayout* layout : quant_layouts())
    if (id == layout->id) return layout;
  return nullptr;
}

Status check_quantized_source(const QuantizedSource& source) {
  if (source.layout == nullptr) return Status("ERR_ARGUMENT", "quantized weight: no layout");
  if (source.rows < 0 || source.cols < 0 || source.grid.row_span < 1 || source.grid.col_span < 1)
    return Status("ERR_SHAPE", "quantized weight: sizes must not be negative, spans of scales must be positive");
  for (const LayoutPart& expected : source.layout->parts) {
    const StoredPart* part = source.part(expected.suffix);
    if (part == nullptr && expected.required) return part_error(expected.suffix, "missing");
    if (part != nullptr) ESP_RETURN_IF_ERROR(check_part(expected, *part));
  }
  for (const auto& [suffix, part] : source.parts) {
    bool known = false;
    for (const LayoutPart& expected : source.layout->parts) known = known || suffix == expected.suffix;
    if (!known) return part_error(suffix.c_str(), std::string("not a tensor of the layout ") + source.layout->id);
  }
  return source.layout->check(source);
}

Status read_quantized_f32(const QuantizedSource& source, int64_t row_begin, int64_t row_count, float* out) {
  QuantizedMatrix matrix;
  ESP_RETURN_IF_ERROR(source.layout->read(source, row_begin, row_count, &matrix));
  ESP_RETURN_IF_ERROR(check_quantized(matrix));
  dequantize_rows(matrix, 0, row_count, out);
  return Status::ok();
}

Status read_quantized(const QuantizedSource& source, QuantizedMatrix* out) {
  ESP_RETURN_IF_ERROR(source.layout->read(source, 0, source.rows, out));
  return check_quantized(*out);
}

}  // namespace espalier
