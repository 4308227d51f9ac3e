// SPDX-License-Identifier: Apache-2.0
#include "napi/model_spec_arguments.h"

#include <string>
#include <utility>

#include "core/cpu_features.h"
#include "core/thread_pool.h"
#include "napi/guard.h"

namespace espalier {
namespace {

RopeSpec rope_of(const Arguments& args, Napi::Env env) {
  static const std::pair<const char*, RopeType> kTypes[] = {{"default", RopeType::kDefault},
                                                            {"linear", RopeType::kLinear},
                                                            {"dynamic", RopeType::kDynamic},
                                                            {"llama3", RopeType::kLlama3},
                                                            {"yarn", RopeType::kYarn}};
  RopeSpec rope;
  const std::string type = args.string("type");
  bool known = false;
  for (const auto& [name, value] : kTypes)
    if (type == name) {
      rope.type = value;
      known = true;
    }
  if (!known) throw to_js_error(env, Status("ERR_ARGUMENT", "rope.type: unknown kind \"" + type + "\""));
  rope.theta = args.number("theta");
  rope.factor = args.number("factor", 1.0);
  rope.original_max_positions = args.integer("originalMaxPositions", 0);
  rope.low_freq_factor = args.number("lowFreqFactor", 1.0);
  rope.high_freq_factor = args.number("highFreqFactor", 4.0);
  rope.attention_factor = args.number("attentionFactor", 0.0);
  rope.beta_fast = args.number("betaFast", 32.0);
  rope.beta_slow = args.number("betaSlow", 1.0);
  rope.mscale = args.number("mscale", 0.0);
  rope.mscale_all_dim = args.number("mscaleAllDim", 0.0);
  rope.truncate = args.boolean("truncate", true);
  rope.rotary_dim = args.integer("rotaryDim");
  rope.interleaved = args.boolean("interleaved", false);
  return rope;
}

}  // namespace

ModelSpec model_spec_of(const Arguments& args, Napi::Env env) {
  ModelSpec spec;
  spec.vocab_size = args.integer("vocabSize");
  spec.hidden_size = args.integer("hiddenSize");
  spec.intermediate_size = args.integer("intermediateSize");
  spec.num_layers = args.integer("numLayers");
  spec.num_heads = args.integer("numHeads");
  spec.num_kv_heads = args.integer("numKvHeads");
  spec.head_dim = args.integer("headDim");
  spec.max_positions = args.integer("maxPositions");
  spec.norm_eps = static_cast<float>(args.number("normEps"));
  spec.tie_word_embeddings = args.boolean("tieWordEmbeddings", false);
  spec.rope = rope_of(args.object("rope"), env);
  return spec;
}

Isa isa_of(const Arguments& args, Napi::Env env) {
  const std::string isa = args.string("isa", "auto");
  Isa level = current_isa();
  if (isa != "auto" && (!isa_by_name(isa, &level) || !isa_runs_here(level)))
    throw to_js_error(env, Status("ERR_ISA", "isa: this CPU cannot run \"" + isa + "\"; its best level is \"" +
                                                 isa_name(best_isa()) + "\""));
  return level;
}

int32_t threads_of(const Arguments& args, Napi::Env env) {
  const int64_t threads = args.integer("threads", 0);
  if (threads < 0 || threads > kMaxThreads)
    throw to_js_error(env, Status("ERR_ARGUMENT", format_text("threads: expected 1 to %d, found %lld", kMaxThreads,
                                                              static_cast<long long>(threads))));
  return static_cast<int32_t>(threads);
}

}  // namespace espalier
