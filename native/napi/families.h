// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

namespace espalier {

// binding.families(): the table of model/family.h as plain objects.
Napi::Value families_for_js(const Napi::CallbackInfo& info);

}  // namespace espalier
