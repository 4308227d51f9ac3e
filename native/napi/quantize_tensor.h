// binding.quantizeTensor and the list of number formats.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

namespace espalier {

// (file, source, { format, layout | "onnx" | "dense", symmetric, group, blockRows, blockCols, method, percentile,
//   scaleType, sourceDtype, nested }, transform?)
//   -> Promise<{ parts: [{ suffix, type, shape, data }], squaredError, squaredSum, largestError }>
Napi::Value quantize_tensor_for_js(const Napi::CallbackInfo& info);
// [{ id, type, bits, asymmetric, group, groupsFixed }]
Napi::Value number_formats_for_js(const Napi::CallbackInfo& info);

}  // namespace espalier
