// The engine's weights: weights.bin mapped, every tensor of engine.json checked against the registry and the spec,
// then placed by role.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "core/status.h"
#include "model/decoder.h"

namespace espalier {

// One entry of engine.json. Vectors (norms, biases) have format "f32" and k = 1, stored as n plain floats.
struct EngineTensor {
  std::string role;    // of the families table: "q_proj", "input_layernorm", ...
  std::string part;    // "weight" | "bias"
  int64_t layer = -1;  // -1: not in a layer
  std::string format;
  int64_t n = 0, k = 0;
  uint64_t offset = 0, size_bytes = 0;
};

struct EngineWeights {
  std::shared_ptr<const MappedFile> file;
  DecoderWeights decoder;
};

// ERR_ENGINE_FORMAT names the tensor, the field, what was expected and found.
Status load_weights(const std::string& path, const ModelSpec& spec, const std::vector<EngineTensor>& tensors,
                    EngineWeights* out);

}  // namespace espalier
