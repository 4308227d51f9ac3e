// The CPU backend's table.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "backend/backend.h"

namespace espalier {

const Backend* cpu_backend();

}  // namespace espalier
