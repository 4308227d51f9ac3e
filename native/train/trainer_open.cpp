// How a Trainer is made from its config.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <system_error>

#include "kernels/logit_loss/logit_loss.h"
#include "train/trainer.h"

namespace espalier {
namespace {

Status bad_config(const std::string& what) { return Status("ERR_ARGUMENT", what); }

// A term over the teacher's largest logits alone.
Status check_top_term(const TrainConfig& config, const LossTerm& term) {
  if (term.kind == LossKind::kMft) return bad_config("losses: mft needs all of a teacher's logits");
  if (term.kind == LossKind::kKlTail && term.temperature != 1)
    return bad_config("losses: kl_tail: temperature: expected 1 without all of a teacher's logits");
  if (term.top_k >= 1 && term.top_k <= config.teacher_top) return Status::ok();
  return bad_config(format_text("losses: topK: expected 1 to %lld, the teacher's logits there are, found %lld",
                                static_cast<long long>(config.teacher_top), static_cast<long long>(term.top_k)));
}

Status check_logit_term(const TrainConfig& config, const LossTerm& term) {
  const int64_t vocab = config.model.spec.vocab_size;
  if (!(term.temperature > 0) || !std::isfinite(term.temperature))
    return bad_config("losses: temperature: expected a positive number");
  if (term.top_k < 0 || term.top_k > vocab)
    return bad_config(format_text("losses: topK: expected 0 to %lld, the vocabulary, found %lld",
                                  static_cast<long long>(vocab), static_cast<long long>(term.top_k)));
  if (!(term.beta >= 0) || term.beta > 1) return bad_config("losses: beta: expected 0 to 1");
  if (!(term.threshold >= 0) || term.threshold >= 1) return bad_config("losses: threshold: expected 0 to below 1");
  if (term.kind == LossKind::kKlTail && term.top_k == 0)
    return bad_config("losses: kl_tail: topK: expected at least 1");
  if (config.teacher_top > 0) return check_top_term(config, term);
  if (config.teacher.spec.vocab_size == vocab) return Status::ok();
  return bad_config(format_text("losses: teacher and model have vocabularies of %lld and %lld tokens",
                                static_cast<long long>(config.teacher.spec.vocab_size), static_cast<long long>(vocab)));
}

Status check_hidden_term(const TrainConfig& config, const LossTerm& term) {
  if (term.layers.empty()) return bad_config("losses: layers: expected at least one pair [student, teacher]");
  const int64_t layers = config.model.spec.num_layers, teacher_layers = config.teacher.spec.num_layers;
  for (const auto& [student, teacher] : term.layers)
    if (student < -1 || student >= layers || teacher < -1 || teacher >= teacher_layers)
      return bad_config(format_text("losses: layers: [%lld, %lld] is not one of [-1 to %lld, -1 to %lld]",
                                    static_cast<long long>(student), static_cast<long long>(teacher),
                                    static_cast<long long>(layers - 1), static_cast<long long>(teacher_layers - 1)));
  return Status::ok();
}

Status check_losses(const TrainConfig& config) {
  if (config.losses.empty()) return bad_config("losses: expected at least one term");
  int64_t logit_terms = 0;
  for (const LossTerm& term : config.losses) {
    if (!std::isfinite(term.weight)) return bad_config("losses: weight: expected a finite number");
    logit_terms += is_hidden_loss(term.kind) ? 0 : 1;
    if (term.kind == LossKind::kCrossEntropy) continue;
    const bool known = config.has_teacher || (config.teacher_top > 0 && !is_hidden_loss(term.kind));
    if (!known && config.teacher_top > 0) return bad_config("losses: hidden states need the teacher itself");
    if (!known) return bad_config("losses: only cross_entropy needs no teacher");
    ESP_RETURN_IF_ERROR(is_hidden_loss(term.kind) ? check_hidden_term(config, term) : check_logit_term(config, term));
  }
  if (logit_terms <= kMaxLogitTerms) return Status::ok();
  return bad_config(format_text("losses: expected at most %lld terms over logits, found %lld",
                                static_cast<long long>(kMaxLogitTerms), static_cast<long long>(logit_terms)));
}

Status check_config(const TrainConfig& config) {
  if (config.max_sequences < 1 || config.sequence_length < 1)
    return bad_config("maxSequences, sequenceLength: expected at least 1");
  if (config.max_sequences > (int64_t{1} << 31) / config.sequence_length)
    return bad_config("maxSequences x sequenceLength: expected at most 2^31 tokens");
  if (config.teacher_top < 0 || config.teacher_top > config.model.spec.vocab_size)
    return bad_config(format_text("teacherTop: expected 0 to %lld, the vocabulary, found %lld",
                                  static_cast<long long>(config.model.spec.vocab_size),
                                  static_cast<long long>(config.teacher_top)));
  if (config.teacher_top > 0 && config.has_teacher)
    return bad_config("teacher, teacherTop: expected one of them, found both");
  const bool betas = config.beta1 >= 0 && config.beta1 < 1 && config.beta2 >= 0 && config.beta2 < 1;
  if (!betas || !(config.epsilon > 0)) return bad_config("beta1, beta2: expected 0 to below 1; epsilon: above 0");
  ESP_RETURN_IF_ERROR(check_spec(config.model.spec));
  if (config.has_teacher) ESP_RETURN_IF_ERROR(check_spec(config.teacher.spec));
  return check_losses(config);
}

bool has_hidden_terms(const TrainConfig& config) {
  return std::any_of(config.losses.begin(), config.losses.end(),
                     [](const LossTerm& term) { return is_hidden_loss(term.kind); });
}

// Names as PEFT's, less its prefix.
Status add_adapters(const TrainConfig& config, std::vector<ExtraParameter>* out) {
  const LoraConfig& lora = config.lora;
  if (lora.rank < 1 || lora.targets.empty() || !std::isfinite(lora.alpha))
    return bad_config("lora: expected a rank of at least 1, a finite alpha and at least one target");
  for (const TrainTensor& tensor : config.model.tensors) {
    const bool wanted = std::find(lora.targets.begin(), lora.targets.end(), tensor.role) != lora.targets.end();
    int64_t rows = 0, cols = 0;
    if (!wanted || tensor.part != "weight" || !layer_linear_shape(config.model.spec, tensor.role, &rows, &cols))
      continue;
    const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
    out->push_back(
        {module + ".lora_A.weight", tensor.role + ".lora_A", "weight", tensor.layer, lora.rank, cols, Draw::kUniform});
    out->push_back(
        {module + ".lora_B.weight", tensor.role + ".lora_B", "weight", tensor.layer, rows, lora.rank, Draw::kZeros});
  }
  for (const std::string& role : lora.targets) {
    int64_t rows, cols;
    if (!layer_linear_shape(config.model.spec, role, &rows, &cols))
      return bad_config("lora: targets: no linear layer has the role \"" + role + "\"");
  }
  return Status::ok();
}

}  // namespace

Status Trainer::create(TrainConfig config, std::unique_ptr<Trainer>* out) {
  std::unique_ptr<Trainer> trainer(new Trainer(std::move(config)));
  ESP_RETURN_IF_ERROR(trainer->open());
  *out = std::move(trainer);
  return Status::ok();
}

Status Trainer::open() {
  ESP_RETURN_IF_ERROR(check_config(config_));
  ESP_RETURN_IF_ERROR(open_models());
  ESP_RETURN_IF_ERROR(reserve_activations());
  ESP_RETURN_IF_ERROR(start_threads());
  if (!config_.data_parallel) return Status::ok();
  std::shared_ptr<Communicator> ranks;
  ESP_RETURN_IF_ERROR(open_mpi(&ranks));
  sums_ = std::make_unique<GradientSums>(std::move(ranks), &parameters_);
  context_.sums = sums_.get();
  return Status::ok();
}

Status Trainer::start_threads() {
  try {
    if (config_.threads == 0) ESP_RETURN_IF_ERROR(thread_environment_status());
    pool_ = std::make_unique<ThreadPool>(config_.threads > 0 ? config_.threads : default_thread_count());
  } catch (const std::system_error& error) {
    return Status("ERR_THREADS", format_text("cannot start the trainer's threads: %s", error.what()));
  }
  context_.cpu = {pool_.get(), config_.isa};
  context_.stop = &stop_;
  return Status::ok();
}

Status Trainer::open_models() {
  const ModelSpec &spec = config_.model.spec, &teacher_spec = config_.teacher.spec;
  const bool hidden = has_hidden_terms(config_), projects = hidden && spec.hidden_size != teacher_spec.hidden_size;
  ParameterOptions options;
  options.frozen = config_.frozen;
  options.trainable = !config_.forward_only;
  options.model_frozen = config_.lora.rank != 0;
  if (options.model_frozen) ESP_RETURN_IF_ERROR(add_adapters(config_, &options.extra));
  if (projects) {
    const char* role = "distillation.projection";
    options.extra.push_back({"distillation.projection.weight", role, "weight", -1, teacher_spec.hidden_size,
                             spec.hidden_size, Draw::kUniform});
    options.extra.push_back(
        {"distillation.projection.bias", role, "bias", -1, teacher_spec.hidden_size, 1, Draw::kZeros});
  }
  ESP_RETURN_IF_ERROR(parameters_.create(config_.model, options));
  const double rank = static_cast<double>(std::max<int64_t>(config_.lora.rank, 1));
  const ActivationOptions keep =
      config_.forward_only ? ActivationOptions{}
                           : ActivationOptions{true, config_.activation_checkpointing, config_.bf16_activations};
  decoder_ = std::make_unique<TrainDecoder>(spec, &parameters_, keep, static_cast<float>(config_.lora.alpha / rank));
  if (config_.has_teacher) {
    ParameterOptions forward_only;
    forward_only.trainable = false;
    ESP_RETURN_IF_ERROR(teacher_parameters_.create(config_.teacher, forward_only));
    teacher_ = std::make_unique<TrainDecoder>(teacher_spec, &teacher_parameters_, ActivationOptions{}, 0.0f);
  }
  const bool teacher_logits = std::any_of(config_.losses.begin(), config_.losses.end(), [](const LossTerm& term) {
    return term.kind != LossKind::kCrossEntropy && !is_hidden_loss(term.kind);
  });
  head_ = std::make_unique<LossHead>(decoder_.get(), teacher_logits ? teacher_.get() : nullptr, config_.losses,
                                     config_.teacher_top);
  if (!hidden) return Status::ok();
  TrainLinear projection;
  if (projects) {
    LinearPart part;
    part.weight = parameters_.find("distillation.projection", "weight", -1);
    part.bias = parameters_.find("distillation.projection", "bias", -1);
    projection.add(part);
  }
  teacher_states_ = std::make_unique<TeacherStates>(config_.losses, teacher_spec.hidden_size);
  hidden_terms_ =
      std::make_unique<HiddenTerms>(config_.losses, teacher_states_.get(), spec.hidden_size, std::move(projection));
  return Status::ok();
}

Status Trainer::reserve_activations() {
  const int64_t sequences = config_.max_sequences, length = config_.sequence_length;
  const auto carve = [&](Arena& student, Arena& teacher, Arena& teacher_work) {
    decoder_->carve(student, student, sequences, length);
    if (hidden_terms_ != nullptr) hidden_terms_->carve(student, sequences * length);
    if (teacher_ != nullptr) teacher_->carve(teacher, teacher_work, sequences, length);
    if (teacher_states_ != nullptr) teacher_states_->carve(teacher, sequences * length);
  };
  Arena student, teacher, teacher_work;
  carve(student, teacher, teacher_work);
  ESP_RETURN_IF_ERROR(activations_.reserve(std::max(student.used(), teacher_work.used())));
  ESP_RETURN_IF_ERROR(teacher_activations_.reserve(teacher.used()));
  student = Arena(activations_.as<void>(), activations_.size());
  teacher = Arena(teacher_activations_.as<void>(), teacher_activations_.size());
  teacher_work = Arena(activations_.as<void>(), activations_.size());
  carve(student, teacher, teacher_work);
  return head_->reserve(sequences * length);
}

Status Trainer::load() {
  ESP_RETURN_IF_ERROR(parameters_.load(pool_.get(), config_.init_seed, config_.init_std));
  if (teacher_ == nullptr) return Status::ok();
  return teacher_parameters_.load(pool_.get(), config_.init_seed + 1, config_.init_std);
}

}  // namespace espalier
