// Weights written in a layout, as JavaScript gets them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <string>
#include <vector>

#include "quant/layouts/layout.h"

namespace espalier {

using WeightWriter = Status (*)(const QuantizedMatrix& matrix, const WriteOptions& options,
                                std::vector<WrittenPart>* out);

// How `layout` is written: a row of quant_layouts(), or "onnx". ERR_ARGUMENT when it is not.
WeightWriter weight_writer_of(Napi::Env env, const std::string& layout);

// "f16", "bf16"; anything else is f32.
StoredType stored_float_type(const std::string& name);

// [{ suffix, type, shape, data }]; the bytes go to JavaScript without a copy.
Napi::Array written_parts_for_js(Napi::Env env, std::vector<WrittenPart> parts);

}  // namespace espalier
