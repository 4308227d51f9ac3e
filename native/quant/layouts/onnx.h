// Weights as ONNX's DequantizeLinear takes them, transposed for MatMul. Only written: no checkpoint keeps them so.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "quant/layouts/layout.h"

namespace espalier {

//   quantized   I8 or F8_E4M3 [cols, rows]; int4: U8 [ceil(cols * rows / 2)], two's complement, the first of two in the
//               low half
//   scale       options.scale_type, [rows] when all of a row share one, else [groups, rows]
//   zero_point  of the scale's shape, as the codes (int4: U8, packed); only when one is not 0
// ERR_WEIGHT_FORMAT when ONNX has no such codes or groups, or scale_type cannot hold a scale.
Status write_onnx_weight(const QuantizedMatrix& matrix, const WriteOptions& options, std::vector<WrittenPart>* out);

}  // namespace espalier
