// binding.quantizeTensor: rows of a checkpoint's tensor in a GGUF type, off the event loop.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

namespace espalier {

// quantizeTensor(mapped, source, { type, rowBegin?, rowCount?, interleaveHeads? }): Promise<Uint8Array>
Napi::Value quantize_tensor_for_js(const Napi::CallbackInfo& info);

}  // namespace espalier
