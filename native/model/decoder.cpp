// SPDX-License-Identifier: Apache-2.0
#include "model/decoder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "backend/error.h"
#include "core/arena.h"

namespace espalier {
namespace {

// Rows whose logits are computed together with one product; bounds nothing but the gather buffer.
constexpr int64_t kMaxLogitRows = 512;

// Calls a backend entry and turns its result into a Status.
template <typename Entry, typename... Args>
Status call(Entry entry, Args... args) {
  BackendError error{};
  return status_of(entry(args..., &error), error);
}

}  // namespace

Decoder::Decoder(const Backend* backend, void* device, const ModelSpec& spec, DecoderWeights weights)
    : backend_(backend),
      device_(device),
      spec_(spec),
      weights_(std::move(weights)),
      rope_(spec),
      rotation_(spec.hidden_size) {}

Decoder::~Decoder() { backend_->release(device_, block_, capacity_bytes_); }

KvCacheView Decoder::cache_of_layer(const KvCachePool& pool, int64_t layer) const {
  char* keys = pool.base + layer * pool.layer_stride_bytes;
  return {keys, keys + pool.value_offset_bytes, pool.page_stride_bytes, spec_.num_kv_heads, spec_.head_dim, pool.dtype};
}

Status Decoder::copy_page(const KvCachePool& pool, int32_t from, int32_t to) {
  const auto address = [&](int32_t page) { return static_cast<void*>(pool.base + page * pool.page_stride_bytes); };
  return call(backend_->copy, device_, address(to), static_cast<const void*>(address(from)),
              static_cast<size_t>(pool.page_stride_bytes));
}

size_t Decoder::op_workspace(const std::vector<StepSequence>& step, int64_t tokens, const KvCachePool& pool) const {
  size_t bytes = 64;
  const auto want = [&](size_t wanted) { bytes = std::max(bytes, wanted); };
  const auto product = [&](const LinearWeight& weight, int64_t m) {
    return MatmulArgs{nullptr, weight.matrix.k,       weight.matrix, nullptr, nullptr, weight.matrix.n,
                      m,       MatmulEpilogue::kStore};
  };
  for (const LayerWeights& layer : weights_.layers) {
    const MatmulArgs qkv[] = {product(layer.q_proj, tokens), product(layer.k_proj, tokens),
                              product(layer.v_proj, tokens)};
    want(backend_->matmul_workspace_size(device_, qkv, 3));
    for (const LinearWeight* weight : {&layer.o_proj, &layer.down_proj}) {
      const MatmulArgs args = product(*weight, tokens);
      want(backend_->matmul_workspace_size(device_, &args, 1));
    }
    const MatmulSwigluArgs gated{nullptr,
                                 spec_.hidden_size,
                                 layer.gate_proj.matrix,
                                 layer.up_proj.matrix,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 spec_.intermediate_size,
                                 tokens};
    want(backend_->matmul_swiglu_workspace_size(device_, &gated));
  }
  const MatmulArgs head = product(weights_.lm_head, std::min(tokens, kMaxLogitRows));
  want(backend_->matmul_workspace_size(device_, &head, 1));
  const AttentionArgs attention{cache_of_layer(pool, 0),
                                attention_sequences_.data(),
                                static_cast<int64_t>(step.size()),
                                spec_.num_heads,
                                spec_.num_heads * spec_.head_dim,
                                spec_.num_heads * spec_.head_dim,
                                1.0f,
                                true};
  want(backend_->attention_workspace_size(device_, &attention));
  return bytes;
}

Status Decoder::reserve(const std::vector<StepSequence>& step, int64_t tokens, const KvCachePool& pool) {
  const int64_t q_width = spec_.num_heads * spec_.head_dim;
  const int64_t kv_width = spec_.num_kv_heads * spec_.head_dim;
  const size_t workspace = op_workspace(step, tokens, pool);
  const auto carve = [&](Arena arena) {
    buffers_.x = arena.take<float>(tokens * spec_.hidden_size);
    buffers_.normed = arena.take<float>(std::max<int64_t>(tokens, 1) * spec_.hidden_size);
    buffers_.q = arena.take<float>(tokens * q_width);
    buffers_.k = arena.take<float>(tokens * kv_width);
    buffers_.v = arena.take<float>(tokens * kv_width);
    buffers_.activation = arena.take<float>(tokens * spec_.intermediate_size);
    buffers_.cos = arena.take<float>(tokens * rope_.half());
    buffers_.sin = arena.take<float>(tokens * rope_.half());
    buffers_.ids = arena.take<int32_t>(tokens);
    buffers_.rows = arena.take<int32_t>(tokens);
    buffers_.workspace = arena.take<char>(workspace);
    buffers_.workspace_bytes = workspace;
    return arena.used();
  };
  const size_t needed = carve(Arena());
  if (needed > capacity_bytes_) {
    backend_->release(device_, block_, capacity_bytes_);
    block_ = nullptr;
    capacity_bytes_ = 0;
    ESP_RETURN_IF_ERROR(call(backend_->allocate, device_, needed, &block_));
    capacity_bytes_ = needed;
  }
  carve(Arena(block_, capacity_bytes_));
  return Status::ok();
}

Status Decoder::load_inputs(const std::vector<StepSequence>& step) {
  const int64_t half = rope_.half();
  int64_t row = 0;
  for (const StepSequence& sequence : step) {
    ESP_RETURN_IF_ERROR(call(backend_->upload, device_, static_cast<void*>(buffers_.ids + row),
                             static_cast<const void*>(sequence.ids), sequence.count * sizeof(int32_t)));
    std::vector<float> table(static_cast<size_t>(2 * sequence.count * half));
    rope_.fill(sequence.position, sequence.count, sequence.rope_length, table.data(),
               table.data() + sequence.count * half);
    const size_t bytes = sequence.count * half * sizeof(float);
    ESP_RETURN_IF_ERROR(call(backend_->upload, device_, static_cast<void*>(buffers_.cos + row * half),
                             static_cast<const void*>(table.data()), bytes));
    ESP_RETURN_IF_ERROR(call(backend_->upload, device_, static_cast<void*>(buffers_.sin + row * half),
                             static_cast<const void*>(table.data() + sequence.count * half), bytes));
    row += sequence.count;
  }
  std::vector<int32_t> rows(static_cast<size_t>(row));
  for (int64_t i = 0; i < row; ++i) rows[static_cast<size_t>(i)] = static_cast<int32_t>(i);
  return call(backend_->upload, device_, static_cast<void*>(buffers_.rows), static_cast<const void*>(rows.data()),
              rows.size() * sizeof(int32_t));
}

Status Decoder::rotate(const float* x, float* out, int64_t tokens, bool inverse) {
  const RotationArgs args{&rotation_, x, spec_.hidden_size, out, spec_.hidden_size, tokens, inverse};
  return call(backend_->rotation, device_, &args);
}

Status Decoder::norm(const float* weight, const float* x, float* out, int64_t tokens) {
  const RmsNormArgs args{x,      spec_.hidden_size, weight,        out, spec_.hidden_size,
                         tokens, spec_.hidden_size, spec_.norm_eps};
  return call(backend_->rms_norm, device_, &args);
}

Status Decoder::linear(const LinearWeight& weight, const float* x, int64_t ldx, float* out, int64_t ldo, int64_t tokens,
                       MatmulEpilogue epilogue) {
  const MatmulArgs args{x, ldx, weight.matrix, weight.bias, out, ldo, tokens, epilogue};
  return call(backend_->matmul, device_, &args, 1, static_cast<void*>(buffers_.workspace), buffers_.workspace_bytes);
}

Status Decoder::attention_block(const LayerWeights& layer, int64_t index, const std::vector<StepSequence>& step,
                                const KvCachePool& pool, int64_t tokens) {
  const int64_t q_width = spec_.num_heads * spec_.head_dim;
  const int64_t kv_width = spec_.num_kv_heads * spec_.head_dim;
  ESP_RETURN_IF_ERROR(norm(layer.input_layernorm, buffers_.x, buffers_.normed, tokens));
  const auto product = [&](const LinearWeight& weight, float* out) {
    return MatmulArgs{buffers_.normed, spec_.hidden_size,     weight.matrix, weight.bias, out, weight.matrix.n,
                      tokens,          MatmulEpilogue::kStore};
  };
  const MatmulArgs qkv[] = {product(layer.q_proj, buffers_.q), product(layer.k_proj, buffers_.k),
                            product(layer.v_proj, buffers_.v)};
  ESP_RETURN_IF_ERROR(call(backend_->matmul, device_, static_cast<const MatmulArgs*>(qkv), 3,
                           static_cast<void*>(buffers_.workspace), buffers_.workspace_bytes));

  const auto rotate = [&](float* x, int64_t width, int64_t heads) {
    const RopeArgs args{x,
                        width,
                        tokens,
                        heads,
                        spec_.head_dim,
                        rope_.half(),
                        buffers_.rows,
                        buffers_.cos,
                        buffers_.sin,
                        tokens,
                        spec_.rope.interleaved};
    return call(backend_->rope, device_, &args);
  };
  ESP_RETURN_IF_ERROR(rotate(buffers_.q, q_width, spec_.num_heads));
  ESP_RETURN_IF_ERROR(rotate(buffers_.k, kv_width, spec_.num_kv_heads));

  const KvCacheView cache = cache_of_layer(pool, index);
  const float* key_scales = pool.scales == nullptr ? nullptr : pool.scales + 2 * index * spec_.num_kv_heads;
  const float* value_scales = key_scales == nullptr ? nullptr : key_scales + spec_.num_kv_heads;
  int64_t row = 0;
  for (const StepSequence& sequence : step) {
    const KvAppendArgs args{cache,
                            buffers_.k + row * kv_width,
                            buffers_.v + row * kv_width,
                            kv_width,
                            sequence.count,
                            sequence.pages,
                            sequence.position,
                            key_scales,
                            value_scales};
    ESP_RETURN_IF_ERROR(call(backend_->kv_append, device_, &args));
    row += sequence.count;
  }
  const float scale = 1.0f / std::sqrt(static_cast<float>(spec_.head_dim));
  const AttentionArgs args{
      cache, attention_sequences_.data(), static_cast<int64_t>(step.size()), spec_.num_heads, q_width, q_width, scale,
      true};
  ESP_RETURN_IF_ERROR(
      call(backend_->attention, device_, &args, static_cast<void*>(buffers_.workspace), buffers_.workspace_bytes));
  return linear(layer.o_proj, buffers_.q, q_width, buffers_.x, spec_.hidden_size, tokens, MatmulEpilogue::kAccumulate);
}

Status Decoder::mlp_block(const LayerWeights& layer, int64_t tokens) {
  ESP_RETURN_IF_ERROR(norm(layer.post_attention_layernorm, buffers_.x, buffers_.normed, tokens));
  const MatmulSwigluArgs gated{buffers_.normed,      spec_.hidden_size,       layer.gate_proj.matrix,
                               layer.up_proj.matrix, layer.gate_proj.bias,    layer.up_proj.bias,
                               buffers_.activation,  spec_.intermediate_size, tokens};
  ESP_RETURN_IF_ERROR(
      call(backend_->matmul_swiglu, device_, &gated, static_cast<void*>(buffers_.workspace), buffers_.workspace_bytes));
  return linear(layer.down_proj, buffers_.activation, spec_.intermediate_size, buffers_.x, spec_.hidden_size, tokens,
                MatmulEpilogue::kAccumulate);
}

Status Decoder::forward(const std::vector<StepSequence>& step, const KvCachePool& pool, const std::atomic<bool>* stop) {
  int64_t tokens = 0;
  for (const StepSequence& sequence : step) tokens += sequence.count;
  const int64_t q_width = spec_.num_heads * spec_.head_dim;
  const auto list_sequences = [&] {
    attention_sequences_.clear();
    float* q = buffers_.q;
    for (const StepSequence& sequence : step) {
      attention_sequences_.push_back({q, q, sequence.count, sequence.position + sequence.count, sequence.pages});
      if (q != nullptr) q += sequence.count * q_width;
    }
  };
  list_sequences();  // sizes only, for the workspace
  ESP_RETURN_IF_ERROR(reserve(step, tokens, pool));
  list_sequences();
  ESP_RETURN_IF_ERROR(load_inputs(step));
  const EmbeddingArgs lookup{weights_.embed_tokens, buffers_.ids, tokens, buffers_.x, spec_.hidden_size};
  ESP_RETURN_IF_ERROR(call(backend_->embedding, device_, &lookup));
  if (weights_.rotated) ESP_RETURN_IF_ERROR(rotate(buffers_.x, buffers_.x, tokens, false));
  for (int64_t index = 0; index < spec_.num_layers; ++index) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed))
      return Status("ERR_CANCELLED", "the step was stopped between two layers");
    const LayerWeights& layer = weights_.layers[static_cast<size_t>(index)];
    ESP_RETURN_IF_ERROR(attention_block(layer, index, step, pool, tokens));
    ESP_RETURN_IF_ERROR(mlp_block(layer, tokens));
  }
  return Status::ok();
}

Status Decoder::logits(const int64_t* rows, int64_t count, float* out) {
  // Each row is normed on its own, so gathering costs nothing: norm reads row by row into consecutive output rows.
  for (int64_t begin = 0; begin < count; begin += kMaxLogitRows) {
    const int64_t part = std::min(kMaxLogitRows, count - begin);
    for (int64_t i = 0; i < part; ++i) {
      const float* x = buffers_.x + rows[begin + i] * spec_.hidden_size;
      float* normed = buffers_.normed + i * spec_.hidden_size;
      if (weights_.rotated) {
        ESP_RETURN_IF_ERROR(rotate(x, normed, 1, true));
        x = normed;
      }
      ESP_RETURN_IF_ERROR(norm(weights_.norm, x, normed, 1));
    }
    ESP_RETURN_IF_ERROR(linear(weights_.lm_head, buffers_.normed, spec_.hidden_size, out + begin * spec_.vocab_size,
                               spec_.vocab_size, part, MatmulEpilogue::kStore));
  }
  return Status::ok();
}

}  // namespace espalier
