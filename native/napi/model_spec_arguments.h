// What the configs of engines and trainers share: the model's spec, the ISA level, the threads.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include "core/isa.h"
#include "model/model_spec.h"
#include "napi/arguments.h"

namespace espalier {

// The spec of src/model/spec.ts. ERR_ARGUMENT names the field.
ModelSpec model_spec_of(const Arguments& args, Napi::Env env);
// args.isa, "auto" when absent. ERR_ISA.
Isa isa_of(const Arguments& args, Napi::Env env);
// args.threads, 0 (the default) when absent. ERR_ARGUMENT.
int32_t threads_of(const Arguments& args, Napi::Env env);

}  // namespace espalier
