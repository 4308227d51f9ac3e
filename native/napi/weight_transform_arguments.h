// Transforms of weights, as JavaScript describes them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include "model/weight_transform.h"

namespace espalier {

// { columnScale?: { file, source }, rotateColumns?, rotateRows?, fill? }; anything but an object changes nothing.
WeightTransform weight_transform_of(const Napi::Value& value);

}  // namespace espalier
