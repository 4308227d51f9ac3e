// SPDX-License-Identifier: Apache-2.0
#include "calibrate/calibrator.h"

#include <cmath>
#include <cstring>
#include <system_error>

#include "kernels/dispatch.h"

namespace espalier {
namespace {

int64_t width_of(const ModelSpec& spec, Tap tap) {
  if (tap == Tap::kAttentionOutput) return spec.num_heads * spec.head_dim;
  return tap == Tap::kMlpProduct ? spec.intermediate_size : spec.hidden_size;
}

const TrainTensor* embedding_of(const TrainModel& model) {
  for (const TrainTensor& tensor : model.tensors)
    if (tensor.role == "embed_tokens" && tensor.part == "weight") return &tensor;
  return nullptr;
}

// Layers whose weights are used as one have biases together or not at all.
Status check_biases(Parameters& parameters, int64_t layer) {
  const std::vector<std::vector<const char*>> groups = {{"q_proj", "k_proj", "v_proj"}, {"gate_proj", "up_proj"}};
  for (const auto& group : groups)
    for (const char* role : group) {
      const bool first = parameters.find(group.front(), "bias", 0) != nullptr;
      if ((parameters.find(role, "bias", 0) != nullptr) == first) continue;
      return Status("ERR_CHECKPOINT_TENSORS", format_text("layer %lld: %s and %s: expected a bias of both or of none",
                                                          static_cast<long long>(layer), group.front(), role));
    }
  return Status::ok();
}

}  // namespace

Status Calibrator::create(CalibrationConfig config, std::unique_ptr<Calibrator>* out) {
  std::unique_ptr<Calibrator> calibrator(new Calibrator(std::move(config)));
  ESP_RETURN_IF_ERROR(calibrator->open());
  *out = std::move(calibrator);
  return Status::ok();
}

Status Calibrator::check_config() const {
  ESP_RETURN_IF_ERROR(check_spec(config_.model.spec));
  if (config_.sequences < 1 || config_.length < 1 || config_.max_batch < 1)
    return Status("ERR_ARGUMENT", "sequences, length, maxBatch: expected at least 1");
  if (config_.sequences > (int64_t{1} << 31) / config_.length)
    return Status("ERR_ARGUMENT", "sequences x length: expected at most 2^31 tokens");
  for (const TapRequest& request : config_.taps)
    if ((request.statistic == "cosine") != (request.tap == Tap::kBlockOutput))
      return Status("ERR_ARGUMENT", "taps: block_output and cosine go together, with nothing else");
  for (const TrainTensor& tensor : config_.model.tensors)
    if (tensor.file == nullptr) return Status("ERR_ARGUMENT", tensor.name + ": expected a file to read it from");
  if (embedding_of(config_.model) == nullptr) return Status("ERR_CHECKPOINT_TENSORS", "embed_tokens.weight: missing");
  return Status::ok();
}

Status Calibrator::open() {
  ESP_RETURN_IF_ERROR(check_config());
  config_.max_batch = std::min(config_.max_batch, config_.sequences);
  try {
    if (config_.threads == 0) ESP_RETURN_IF_ERROR(thread_environment_status());
    pool_ = std::make_unique<ThreadPool>(config_.threads > 0 ? config_.threads : default_thread_count());
  } catch (const std::system_error& error) {
    return Status("ERR_THREADS", format_text("cannot start the calibrator's threads: %s", error.what()));
  }
  context_.cpu = {pool_.get(), config_.isa};
  context_.stop = &stop_;
  const TrainTensor& embedding = *embedding_of(config_.model);
  ESP_RETURN_IF_ERROR(check_tensor_source(*embedding.file, embedding.source));
  if (embedding.source.rows != config_.model.spec.vocab_size || embedding.source.cols != config_.model.spec.hidden_size)
    return Status("ERR_SHAPE", embedding.name + ": its shape is not [vocabulary, hidden]");
  ESP_RETURN_IF_ERROR(states_.reserve(config_.sequences * sample_values(), config_.states_path));
  ESP_RETURN_IF_ERROR(output_.reserve(static_cast<size_t>(config_.max_batch * sample_values()) * sizeof(float)));
  return fresh_statistics();
}

Status Calibrator::fresh_statistics() {
  statistics_.clear();
  for (const TapRequest& request : config_.taps) {
    std::unique_ptr<Statistic> statistic;
    ESP_RETURN_IF_ERROR(make_statistic(request.statistic, width_of(config_.model.spec, request.tap), &statistic));
    statistics_.push_back(std::move(statistic));
  }
  return Status::ok();
}

Status Calibrator::check_range(int64_t first, int64_t count) const {
  if (count >= 1 && count <= config_.max_batch && first >= 0 && first <= config_.sequences - count) return Status::ok();
  return Status("ERR_ARGUMENT",
                format_text("samples: expected up to %lld of [0, %lld), found %lld from %lld on",
                            static_cast<long long>(config_.max_batch), static_cast<long long>(config_.sequences),
                            static_cast<long long>(count), static_cast<long long>(first)));
}

Status Calibrator::embed(int64_t first, int64_t count, const int32_t* tokens) {
  ESP_RETURN_IF_ERROR(check_range(first, count));
  const TrainTensor& embedding = *embedding_of(config_.model);
  const int64_t hidden = config_.model.spec.hidden_size, vocab = config_.model.spec.vocab_size;
  float* out = states_.data() + first * sample_values();
  for (int64_t i = 0; i < count * config_.length; ++i) {
    if (tokens[i] < 0 || tokens[i] >= vocab)
      return Status("ERR_TOKEN_ID", format_text("tokens[%lld]: expected 0 <= id < %lld, found %d",
                                                static_cast<long long>(i), static_cast<long long>(vocab), tokens[i]));
    ESP_RETURN_IF_ERROR(read_tensor_f32(*embedding.file, embedding.source, tokens[i], 1, out + i * hidden));
  }
  return Status::ok();
}

// The block as the only one of a model.
TrainModel Calibrator::block_model(int64_t layer) const {
  TrainModel model;
  model.spec = config_.model.spec;
  model.spec.num_layers = 1;
  for (const TrainTensor& tensor : config_.model.tensors) {
    if (tensor.layer != layer) continue;
    model.tensors.push_back(tensor);
    model.tensors.back().layer = 0;
  }
  return model;
}

Status Calibrator::begin_block(int64_t layer) {
  if (layer < 0 || layer >= config_.model.spec.num_layers)
    return Status("ERR_ARGUMENT", format_text("layer: expected 0 to %lld, found %lld",
                                              static_cast<long long>(config_.model.spec.num_layers - 1),
                                              static_cast<long long>(layer)));
  ParameterOptions options;
  options.trainable = options.whole = false;
  decoder_.reset();
  parameters_ = std::make_unique<Parameters>();
  const TrainModel model = block_model(layer);
  ESP_RETURN_IF_ERROR(parameters_->create(model, options));
  for (const char* role : {"input_layernorm", "post_attention_layernorm", "q_proj", "k_proj", "v_proj", "o_proj",
                           "gate_proj", "up_proj", "down_proj"})
    if (parameters_->find(role, "weight", 0) == nullptr)
      return Status("ERR_CHECKPOINT_TENSORS",
                    format_text("layer %lld: %s.weight: missing", static_cast<long long>(layer), role));
  ESP_RETURN_IF_ERROR(check_biases(*parameters_, layer));
  ESP_RETURN_IF_ERROR(parameters_->load(pool_.get(), 0, 0));
  decoder_ = std::make_unique<TrainDecoder>(model.spec, parameters_.get(), ActivationOptions{}, 0.0f);
  decoder_->set_taps(this);
  Arena measured;
  decoder_->carve(measured, measured, config_.max_batch, config_.length);
  ESP_RETURN_IF_ERROR(activations_.reserve(measured.used()));
  Arena arena(activations_.as<void>(), activations_.size());
  decoder_->carve(arena, arena, config_.max_batch, config_.length);
  return fresh_statistics();
}

Status Calibrator::run(int64_t first, int64_t count) {
  ESP_RETURN_IF_ERROR(check_range(first, count));
  if (decoder_ == nullptr) return Status("ERR_ARGUMENT", "run: no block was begun");
  float* states = states_.data() + first * sample_values();
  TrainBatch batch;
  batch.sequences = count;
  batch.length = config_.length;
  block_input_ = states;
  ESP_RETURN_IF_ERROR(decoder_->block(context_, batch, 0, states, output_.as<float>()));
  const int64_t values = count * sample_values();
  for_row_ranges(context_.cpu, values, 1, [&](int64_t begin, int64_t end) {
    std::memcpy(states + begin, output_.as<float>() + begin, static_cast<size_t>(end - begin) * sizeof(float));
  });
  return Status::ok();
}

Status Calibrator::tapped(TrainContext& context, const TrainBatch& batch, int64_t, Tap tap, const float* x,
                          int64_t width) {
  const TapView view{x, tap == Tap::kBlockOutput ? block_input_ : nullptr, width, batch.sequences, batch.length};
  for (size_t i = 0; i < statistics_.size(); ++i)
    if (config_.taps[i].tap == tap) ESP_RETURN_IF_ERROR(statistics_[i]->add(context, view));
  return Status::ok();
}

}  // namespace espalier
