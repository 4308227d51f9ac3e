// binding.openCommunicator: the processes of a data-parallel run, for the TypeScript layer.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

namespace espalier {

// openCommunicator(): Communicator | null. null when this process is alone; see src/train/native-trainer.ts.
Napi::Value open_communicator_for_js(const Napi::CallbackInfo& info);

}  // namespace espalier
