// Quantized tensors of a checkpoint, as JavaScript describes them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <memory>

#include "quant/layouts/layout.h"

namespace espalier {

// { layout, type, rows, cols, rowSpan, colSpan, acrossRows, zeros, zeroOffset?, nestedOffset?,
//   parts: { [suffix]: { file, offset, sizeBytes, type: "I32", shape } } } -> checked source.
// Throws ERR_ARGUMENT, ERR_QUANT_PARTS, ERR_FILE_TRUNCATED.
std::shared_ptr<const QuantizedSource> quantized_source_of(const Napi::Value& value);

// binding.quantLayouts(): [{ id, parts: [{ suffix, types, required }], written }]
Napi::Value quant_layouts_for_js(const Napi::CallbackInfo& info);
// binding.checkQuantized(source)
Napi::Value check_quantized_for_js(const Napi::CallbackInfo& info);

}  // namespace espalier
