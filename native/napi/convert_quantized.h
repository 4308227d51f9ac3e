// binding.convertQuantized: a quantized weight of a checkpoint in another layout, the same codes and scales.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

namespace espalier {

// (source, { layout, scaleType }) -> Promise<[{ suffix, type, shape, data }]>
Napi::Value convert_quantized_for_js(const Napi::CallbackInfo& info);

}  // namespace espalier
