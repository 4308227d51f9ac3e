// Status <-> BackendError.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "backend/backend.h"
#include "core/status.h"

namespace espalier {

// Fills `error` and returns 1 when `status` is an error; returns 0 otherwise.
int32_t report(const Status& status, BackendError* error);

// The Status of an entry's return value.
Status status_of(int32_t result, const BackendError& error);

}  // namespace espalier
