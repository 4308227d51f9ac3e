// SPDX-License-Identifier: Apache-2.0
#include "engine/weights.h"

#include <cstring>

#include "quant/weight_format.h"

namespace espalier {
namespace {

struct LinearRole {
  const char* role;
  LinearWeight LayerWeights::*member;
};
const LinearRole kLayerLinears[] = {
    {"q_proj", &LayerWeights::q_proj},       {"k_proj", &LayerWeights::k_proj},
    {"v_proj", &LayerWeights::v_proj},       {"o_proj", &LayerWeights::o_proj},
    {"gate_proj", &LayerWeights::gate_proj}, {"up_proj", &LayerWeights::up_proj},
    {"down_proj", &LayerWeights::down_proj},
};

struct VectorRole {
  const char* role;
  const float* LayerWeights::*member;
};
const VectorRole kLayerVectors[] = {
    {"input_layernorm", &LayerWeights::input_layernorm},
    {"post_attention_layernorm", &LayerWeights::post_attention_layernorm},
};

std::string name_of(const EngineTensor& tensor) {
  const std::string layer = tensor.layer < 0 ? "" : "layers." + std::to_string(tensor.layer) + ".";
  return layer + tensor.role + "." + tensor.part;
}

Status bad(const EngineTensor& tensor, const std::string& what) {
  return Status("ERR_ENGINE_FORMAT", "engine tensor " + name_of(tensor) + ": " + what,
                "The engine directory is damaged or was made by another version: build it again.");
}

// Bounds, alignment and size against the registry.
Status check_tensor(const MappedFile& file, const EngineTensor& tensor, const WeightFormat* format, bool is_vector) {
  if (format == nullptr)
    return bad(tensor, "format: expected one of " + weight_format_names() + ", found \"" + tensor.format + "\"");
  if (tensor.n < 1 || tensor.k < 1 || tensor.n > (int64_t{1} << 31) || tensor.k > (int64_t{1} << 31))
    return bad(tensor, format_text("shape: expected positive sizes, found [%lld, %lld]",
                                   static_cast<long long>(tensor.n), static_cast<long long>(tensor.k)));
  if (tensor.offset % 64 != 0)
    return bad(tensor, format_text("offset: expected a multiple of 64, found %llu",
                                   static_cast<unsigned long long>(tensor.offset)));
  const uint64_t expected =
      is_vector ? static_cast<uint64_t>(tensor.n) * sizeof(float) : format->packed_bytes(tensor.n, tensor.k);
  if (tensor.size_bytes != expected)
    return bad(tensor, format_text("sizeBytes: expected %llu, found %llu", static_cast<unsigned long long>(expected),
                                   static_cast<unsigned long long>(tensor.size_bytes)));
  return file.check(tensor.offset, tensor.size_bytes);
}

class Placer {
 public:
  Placer(const ModelSpec& spec, EngineWeights* out) : spec_(spec), out_(out) {
    out->decoder.layers.resize(static_cast<size_t>(spec.num_layers));
  }

  Status place(const EngineTensor& tensor) {
    const bool is_bias = tensor.part == "bias";
    const bool is_vector = is_bias || is_vector_role(tensor.role);
    const WeightFormat* format = find_weight_format(tensor.format);
    ESP_RETURN_IF_ERROR(check_tensor(*out_->file, tensor, format, is_vector));
    if (is_vector && tensor.format != "f32")
      return bad(tensor, "format: expected f32, found \"" + tensor.format + "\"");
    const void* data = out_->file->data() + tensor.offset;
    if (is_vector && !is_bias) return place_vector(tensor, static_cast<const float*>(data));
    LinearWeight* linear = linear_of(tensor);
    if (linear == nullptr) return bad(tensor, "unknown role or layer");
    if (is_bias)
      linear->bias = static_cast<const float*>(data);
    else
      linear->matrix = {format, data, tensor.n, tensor.k};
    bias_sizes_ok_ = bias_sizes_ok_ && (!is_bias || tensor.n == expected_rows(tensor.role));
    return Status::ok();
  }

  Status finish() {
    DecoderWeights& weights = out_->decoder;
    weights.embed_tokens = embed_.matrix;
    if (weights.lm_head.matrix.data == nullptr) weights.lm_head.matrix = embed_.matrix;
    const int64_t q = spec_.num_heads * spec_.head_dim, kv = spec_.num_kv_heads * spec_.head_dim;
    const int64_t hidden = spec_.hidden_size, ffn = spec_.intermediate_size;
    ESP_RETURN_IF_ERROR(expect("embed_tokens", embed_, spec_.vocab_size, hidden));
    ESP_RETURN_IF_ERROR(expect("lm_head", weights.lm_head, spec_.vocab_size, hidden));
    if (weights.norm == nullptr) return missing("norm");
    for (size_t i = 0; i < weights.layers.size(); ++i) {
      const LayerWeights& layer = weights.layers[i];
      const std::string at = "layers." + std::to_string(i) + ".";
      ESP_RETURN_IF_ERROR(expect(at + "q_proj", layer.q_proj, q, hidden));
      ESP_RETURN_IF_ERROR(expect(at + "k_proj", layer.k_proj, kv, hidden));
      ESP_RETURN_IF_ERROR(expect(at + "v_proj", layer.v_proj, kv, hidden));
      ESP_RETURN_IF_ERROR(expect(at + "o_proj", layer.o_proj, hidden, q));
      ESP_RETURN_IF_ERROR(expect(at + "gate_proj", layer.gate_proj, ffn, hidden));
      ESP_RETURN_IF_ERROR(expect(at + "up_proj", layer.up_proj, ffn, hidden));
      ESP_RETURN_IF_ERROR(expect(at + "down_proj", layer.down_proj, hidden, ffn));
      if (layer.input_layernorm == nullptr) return missing(at + "input_layernorm");
      if (layer.post_attention_layernorm == nullptr) return missing(at + "post_attention_layernorm");
    }
    if (!bias_sizes_ok_) return Status("ERR_ENGINE_FORMAT", "a bias has another size than its weight has rows");
    return Status::ok();
  }

 private:
  static bool is_vector_role(const std::string& role) {
    for (const VectorRole& row : kLayerVectors)
      if (role == row.role) return true;
    return role == "norm";
  }

  int64_t expected_rows(const std::string& role) const {
    if (role == "q_proj") return spec_.num_heads * spec_.head_dim;
    if (role == "k_proj" || role == "v_proj") return spec_.num_kv_heads * spec_.head_dim;
    if (role == "gate_proj" || role == "up_proj") return spec_.intermediate_size;
    return role == "lm_head" ? spec_.vocab_size : spec_.hidden_size;
  }

  LayerWeights* layer_of(const EngineTensor& tensor) {
    const bool inside = tensor.layer >= 0 && tensor.layer < spec_.num_layers;
    return inside ? &out_->decoder.layers[static_cast<size_t>(tensor.layer)] : nullptr;
  }

  LinearWeight* linear_of(const EngineTensor& tensor) {
    if (tensor.role == "embed_tokens") return &embed_;
    if (tensor.role == "lm_head") return &out_->decoder.lm_head;
    LayerWeights* layer = layer_of(tensor);
    for (const LinearRole& row : kLayerLinears)
      if (layer != nullptr && tensor.role == row.role) return &(layer->*row.member);
    return nullptr;
  }

  Status place_vector(const EngineTensor& tensor, const float* data) {
    if (tensor.n != spec_.hidden_size)
      return bad(tensor, format_text("expected %lld values, found %lld", static_cast<long long>(spec_.hidden_size),
                                     static_cast<long long>(tensor.n)));
    if (tensor.role == "norm") {
      out_->decoder.norm = data;
      return Status::ok();
    }
    LayerWeights* layer = layer_of(tensor);
    if (layer == nullptr) return bad(tensor, "layer out of range");
    for (const VectorRole& row : kLayerVectors)
      if (tensor.role == row.role) layer->*row.member = data;
    return Status::ok();
  }

  static Status missing(const std::string& name) {
    return Status("ERR_ENGINE_FORMAT", "engine.json lists no tensor for " + name);
  }

  static Status expect(const std::string& name, const LinearWeight& weight, int64_t n, int64_t k) {
    if (weight.matrix.data == nullptr) return missing(name);
    if (weight.matrix.n == n && weight.matrix.k == k) return Status::ok();
    return Status("ERR_ENGINE_FORMAT",
                  format_text("engine tensor %s: expected shape [%lld, %lld], found [%lld, %lld]", name.c_str(),
                              static_cast<long long>(n), static_cast<long long>(k),
                              static_cast<long long>(weight.matrix.n), static_cast<long long>(weight.matrix.k)));
  }

  const ModelSpec& spec_;
  EngineWeights* out_;
  LinearWeight embed_;
  bool bias_sizes_ok_ = true;
};

}  // namespace

Status load_weights(const std::string& path, const ModelSpec& spec, const std::vector<EngineTensor>& tensors,
                    EngineWeights* out) {
  ESP_RETURN_IF_ERROR(check_spec(spec));
  ESP_RETURN_IF_ERROR(MappedFile::open(path, &out->file));
  Placer placer(spec, out);
  for (const EngineTensor& tensor : tensors) ESP_RETURN_IF_ERROR(placer.place(tensor));
  return placer.finish();
}

}  // namespace espalier
