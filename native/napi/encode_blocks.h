// binding.encodeBlocks: rows of a checkpoint's tensor in a GGUF type, off the event loop.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

namespace espalier {

// encodeBlocks(mapped, source, { type, rowBegin?, rowCount?, interleaveHeads? }): Promise<Uint8Array>
Napi::Value encode_blocks_for_js(const Napi::CallbackInfo& info);

}  // namespace espalier
