// SPDX-License-Identifier: Apache-2.0
#include "napi/trainer_config.h"

#include <utility>

#include "napi/arguments.h"
#include "napi/guard.h"
#include "napi/mapped_file.h"
#include "napi/model_spec_arguments.h"

namespace espalier {
namespace {

constexpr std::pair<const char*, LossKind> kKinds[] = {{"cross_entropy", LossKind::kCrossEntropy},
                                                       {"kl", LossKind::kKl},
                                                       {"reverse_kl", LossKind::kReverseKl},
                                                       {"jsd", LossKind::kJsd},
                                                       {"logits_mse", LossKind::kLogitsMse},
                                                       {"logits_cosine", LossKind::kLogitsCosine},
                                                       {"mft", LossKind::kMft},
                                                       {"kl_tail", LossKind::kKlTail},
                                                       {"hidden_mse", LossKind::kHiddenMse},
                                                       {"hidden_cosine", LossKind::kHiddenCosine},
                                                       {"hidden_squarehead", LossKind::kHiddenSquarehead}};

LossTerm term_of(const Arguments& args, Napi::Env env) {
  LossTerm term;
  const std::string kind = args.string("kind");
  bool known = false;
  for (const auto& [name, value] : kKinds)
    if (kind == name) {
      term.kind = value;
      known = true;
    }
  if (!known) throw to_js_error(env, Status("ERR_ARGUMENT", "losses: unknown kind \"" + kind + "\""));
  term.weight = args.number("weight");
  term.temperature = args.number("temperature", 1.0);
  term.top_k = args.integer("topK", 0);
  term.beta = args.number("beta", 0.5);
  term.threshold = args.number("threshold", 0.2);
  term.dynamic_weight = args.boolean("dynamicWeight", false);
  if (!is_hidden_loss(term.kind)) return term;
  const Napi::Array layers = args.array("layers");
  for (uint32_t i = 0; i < layers.Length(); ++i) {
    const Napi::Value value = layers.Get(i);
    const bool is_pair = value.IsArray() && value.As<Napi::Array>().Length() == 2;
    if (!is_pair) throw to_js_error(env, Status("ERR_ARGUMENT", "layers: expected pairs [student, teacher]"));
    const Napi::Array pair = value.As<Napi::Array>();
    term.layers.emplace_back(pair.Get(0u).ToNumber().Int64Value(), pair.Get(1u).ToNumber().Int64Value());
  }
  return term;
}

std::vector<std::string> strings_of(const Napi::Array& list) {
  std::vector<std::string> strings;
  for (uint32_t i = 0; i < list.Length(); ++i) strings.push_back(list.Get(i).ToString().Utf8Value());
  return strings;
}

// Where the trainer takes a teacher's largest logits from its batches.
void read_top_logits(const Arguments& args, Napi::Env env, int64_t teacher_top, OwnedBatch* batch) {
  if (teacher_top == 0 || !args.has("topIds")) return;
  batch->top_ids = args.int32_array("topIds");
  batch->top_values = args.float32_array("topValues");
  batch->top_log_sum_exp = args.float32_array("topLogSumExp");
  const size_t expected = batch->tokens.size() * static_cast<size_t>(teacher_top);
  for (const auto& [name, found] :
       {std::pair{"topIds", batch->top_ids.size()}, {"topValues", batch->top_values.size()}})
    if (found != expected)
      throw to_js_error(
          env, Status("ERR_SHAPE", format_text("batch.%s: expected %zu values, found %zu", name, expected, found)));
  const size_t sums = batch->top_log_sum_exp.size();
  if (sums != 0 && sums != batch->tokens.size())
    throw to_js_error(env, Status("ERR_SHAPE", format_text("batch.topLogSumExp: expected %zu values, found %zu",
                                                           batch->tokens.size(), sums)));
}

}  // namespace

TrainModel train_model_of(const Arguments& args, Napi::Env env) {
  TrainModel model;
  model.spec = model_spec_of(args.object("spec"), env);
  const Napi::Array list = args.array("tensors");
  model.tensors.reserve(list.Length());
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::HandleScope scope(env);
    const Arguments tensor(list.Get(i), "tensor");
    TrainTensor out{tensor.string("name"), tensor.string("role"), tensor.string("part"), tensor.integer("layer", -1)};
    if (tensor.has("file")) {
      out.file = mapped_file_of(tensor.value("file"));
      if (!tensor.value("source").IsObject())
        throw to_js_error(env, Status("ERR_ARGUMENT", out.name + ": source: expected an object"));
      out.source = tensor_source_of(tensor.value("source").As<Napi::Object>());
    }
    model.tensors.push_back(std::move(out));
  }
  return model;
}

const char* loss_kind_name(LossKind kind) { return kKinds[static_cast<int>(kind)].first; }

TrainConfig train_config_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Arguments args(info[0], "trainer config");
  TrainConfig config;
  config.model = train_model_of(args.object("model"), env);
  config.has_teacher = args.has("teacher");
  if (config.has_teacher) config.teacher = train_model_of(args.object("teacher"), env);
  config.teacher_top = args.integer("teacherTop", 0);
  const Napi::Array losses = args.array("losses");
  for (uint32_t i = 0; i < losses.Length(); ++i) config.losses.push_back(term_of({losses.Get(i), "loss"}, env));
  config.max_sequences = args.integer("maxSequences");
  config.sequence_length = args.integer("sequenceLength");
  config.activation_checkpointing = args.boolean("activationCheckpointing", false);
  const std::string dtype = args.string("activationDtype", "f32");
  if (dtype != "f32" && dtype != "bf16")
    throw to_js_error(env, Status("ERR_ARGUMENT", "activationDtype: expected f32 or bf16, found \"" + dtype + "\""));
  config.bf16_activations = dtype == "bf16";
  if (args.has("lora")) {
    const Arguments lora = args.object("lora");
    config.lora = {lora.integer("rank"), lora.number("alpha"), strings_of(lora.array("targets"))};
    if (config.lora.rank < 1) throw to_js_error(env, Status("ERR_ARGUMENT", "lora: rank: expected at least 1"));
  }
  config.beta1 = args.number("beta1", 0.9);
  config.beta2 = args.number("beta2", 0.95);
  config.epsilon = args.number("epsilon", 1e-8);
  if (args.has("frozen")) config.frozen = strings_of(args.array("frozen"));
  config.init_seed = static_cast<uint64_t>(args.integer("initSeed", 0));
  config.init_std = args.number("initStd", 0.02);
  config.forward_only = args.boolean("forwardOnly", false);
  config.data_parallel = args.boolean("dataParallel", false);
  config.threads = threads_of(args, env);
  config.isa = isa_of(args, env);
  return config;
}

OwnedBatch batch_of(const Napi::CallbackInfo& info, int64_t teacher_top) {
  const Arguments args(info[0], "batch");
  OwnedBatch batch;
  batch.view.sequences = args.integer("sequences");
  batch.view.length = args.integer("length");
  batch.view.last = args.boolean("last", false);
  batch.view.skip_begin = args.integer("skipBegin", 0);
  batch.view.skip_end = args.integer("skipEnd", 0);
  batch.tokens = args.int32_array("tokens");
  batch.labels = args.int32_array("labels");
  batch.document_starts = args.int32_array("documentStarts");
  const auto check = [&](const char* name, const std::vector<int32_t>& values) {
    int64_t expected = 0;
    if (!__builtin_mul_overflow(batch.view.sequences, batch.view.length, &expected) && expected >= 0 &&
        static_cast<int64_t>(values.size()) == expected)
      return;
    throw to_js_error(info.Env(), Status("ERR_SHAPE", format_text("batch.%s: expected %lld values, found %zu", name,
                                                                  static_cast<long long>(expected), values.size())));
  };
  check("tokens", batch.tokens);
  check("labels", batch.labels);
  if (args.has("documentStarts")) check("documentStarts", batch.document_starts);
  read_top_logits(args, info.Env(), teacher_top, &batch);
  return batch;
}

}  // namespace espalier
