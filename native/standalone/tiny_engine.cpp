// SPDX-License-Identifier: Apache-2.0
#include "standalone/tiny_engine.h"

#include <stdlib.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/rng.h"
#include "quant/weight_format.h"
#include "standalone/checks.h"

namespace espalier::standalone {

TinyEngine::TinyEngine() {
  ModelSpec& spec = config_.spec;
  spec.vocab_size = 97;
  spec.hidden_size = 32;
  spec.intermediate_size = 48;
  spec.num_layers = 2;
  spec.num_heads = 4;
  spec.num_kv_heads = 2;
  spec.head_dim = 8;
  spec.max_positions = 256;
  spec.tie_word_embeddings = true;
  spec.rope.rotary_dim = 8;
  config_.context_tokens = 128;
  config_.kv_tokens = 512;
  config_.max_sequences = 4;
  config_.prefill_chunk = 16;
  config_.threads = 2;

  add("embed_tokens", -1, spec.vocab_size, spec.hidden_size);
  for (int64_t layer = 0; layer < spec.num_layers; ++layer) {
    add("q_proj", layer, 32, 32);
    add("k_proj", layer, 16, 32);
    add("v_proj", layer, 16, 32);
    add("o_proj", layer, 32, 32);
    add("gate_proj", layer, 48, 32);
    add("up_proj", layer, 48, 32);
    add("down_proj", layer, 32, 48);
    add("input_layernorm", layer, 32, 1);
    add("post_attention_layernorm", layer, 32, 1);
  }
  add("norm", -1, spec.hidden_size, 1);

  char path[] = "/tmp/espalier-tiny-XXXXXX";
  const int file = mkstemp(path);
  require(file >= 0, "a temporary file could not be made");
  require(write(file, bytes_.data(), bytes_.size()) == static_cast<ssize_t>(bytes_.size()), "short write");
  ::close(file);
  config_.weights_path = path;
}

TinyEngine::~TinyEngine() { unlink(config_.weights_path.c_str()); }

void TinyEngine::add(const char* role, int64_t layer, int64_t n, int64_t k) {
  Rng rng(config_.tensors.size());
  std::vector<float> values(static_cast<size_t>(n * k));
  for (float& value : values) value = static_cast<float>(k == 1 ? 1.0 : rng.uniform() * 0.4 - 0.2);
  EngineTensor tensor{role, "weight", layer, "f32", n, k, bytes_.size(), values.size() * sizeof(float)};
  AlignedBuffer packed;
  if (k == 1) {
    require_ok(packed.reserve(tensor.size_bytes));
    std::memcpy(packed.as<void>(), values.data(), tensor.size_bytes);
  } else {
    const WeightFormat* format = find_weight_format(tensor.format);
    tensor.size_bytes = format->packed_bytes(n, k);
    require_ok(packed.reserve(tensor.size_bytes));
    require_ok(format->pack(values.data(), n, k, packed.as<void>(), nullptr));
  }
  bytes_.append(packed.as<char>(), tensor.size_bytes);
  bytes_.resize((bytes_.size() + 63) / 64 * 64);
  config_.tensors.push_back(tensor);
}

}  // namespace espalier::standalone
