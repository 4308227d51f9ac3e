// binding.measureCeilings: what this machine could do at best, off the event loop.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

namespace espalier {

// measureCeilings({ isa?, threads?, seconds?, bufferBytes? }): Promise<Ceilings>
Napi::Value measure_ceilings_for_js(const Napi::CallbackInfo& info);

}  // namespace espalier
