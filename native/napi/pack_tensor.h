// binding.packTensor: one tensor of a checkpoint into an engine's packed layout, off the event loop.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

namespace espalier {

// packTensor(mapped, source, format, transform?): Promise<Uint8Array>; src/binding.ts says what a transform is; format
// "vector" gives the plain floats of a norm or bias.
Napi::Value pack_tensor_for_js(const Napi::CallbackInfo& info);

// weightFormats(): [{ id, activation, bitsPerWeight, layoutVersion }]
Napi::Value weight_formats_for_js(const Napi::CallbackInfo& info);

}  // namespace espalier
