// The addon's entry: gathers what each napi/ file exports.
// SPDX-License-Identifier: Apache-2.0
#include <napi.h>

#include "core/cpu_features.h"
#include "core/thread_pool.h"
#include "napi/calibrator.h"
#include "napi/ceilings.h"
#include "napi/communicator.h"
#include "napi/convert_quantized.h"
#include "napi/encode_blocks.h"
#include "napi/engine.h"
#include "napi/families.h"
#include "napi/guard.h"
#include "napi/mapped_file.h"
#include "napi/pack_tensor.h"
#include "napi/quantize_tensor.h"
#include "napi/quantized_source.h"
#include "napi/testing/registry.h"
#include "napi/top_logits.h"
#include "napi/trainer.h"

namespace espalier {
namespace {

Napi::Value cpu_info(const Napi::CallbackInfo& info) {
  const CpuFeatures& f = cpu_features();
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("model", f.model_name);
  out.Set("physicalCores", f.physical_cores);
  out.Set("logicalCpus", f.logical_cpus);
  out.Set("threads", default_thread_count());
  out.Set("isa", isa_name(current_isa()));
  const std::vector<Isa> levels = isas_here();
  Napi::Array isas = Napi::Array::New(info.Env(), levels.size());
  for (size_t i = 0; i < levels.size(); ++i) isas[static_cast<uint32_t>(i)] = isa_name(levels[i]);
  out.Set("isas", isas);
  const Status isa = isa_environment_status(), threads = thread_environment_status();
  const Status& problem = isa.is_ok() ? threads : isa;
  out.Set("problem", info.Env().Null());
  if (!problem.is_ok()) {
    Napi::Object described = Napi::Object::New(info.Env());
    described.Set("code", problem.code());
    described.Set("message", problem.what());
    out.Set("problem", described);
  }
  return out;
}

Napi::Value js_set_isa(const Napi::CallbackInfo& info) {
  throw_if_error(info.Env(), set_isa(info[0].As<Napi::String>().Utf8Value()));
  return info.Env().Undefined();
}

Napi::Value js_read_tensor(const Napi::CallbackInfo& info) { return guarded(info, read_tensor_for_js); }

Napi::Value js_pack_tensor(const Napi::CallbackInfo& info) { return guarded(info, pack_tensor_for_js); }
Napi::Value js_quantize_tensor(const Napi::CallbackInfo& info) { return guarded(info, quantize_tensor_for_js); }
Napi::Value js_convert_quantized(const Napi::CallbackInfo& info) { return guarded(info, convert_quantized_for_js); }
Napi::Value js_check_quantized(const Napi::CallbackInfo& info) { return guarded(info, check_quantized_for_js); }

Napi::Value js_encode_blocks(const Napi::CallbackInfo& info) { return guarded(info, encode_blocks_for_js); }

Napi::Value js_top_logits(const Napi::CallbackInfo& info) { return guarded(info, top_logits_for_js); }

Napi::Value js_measure_ceilings(const Napi::CallbackInfo& info) { return guarded(info, measure_ceilings_for_js); }

Napi::Value js_open_communicator(const Napi::CallbackInfo& info) { return guarded(info, open_communicator_for_js); }

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("cpuInfo", Napi::Function::New(env, cpu_info));
  exports.Set("setIsa", Napi::Function::New(env, js_set_isa));
  exports.Set("measureCeilings", Napi::Function::New(env, js_measure_ceilings));
  exports.Set("openCommunicator", Napi::Function::New(env, js_open_communicator));
  exports.Set("families", Napi::Function::New(env, families_for_js));
  exports.Set("MappedFile", mapped_file_class(env));
  exports.Set("sourceTypes", Napi::Function::New(env, source_types_for_js));
  exports.Set("readTensor", Napi::Function::New(env, js_read_tensor));
  exports.Set("packTensor", Napi::Function::New(env, js_pack_tensor));
  exports.Set("encodeBlocks", Napi::Function::New(env, js_encode_blocks));
  exports.Set("topLogits", Napi::Function::New(env, js_top_logits));
  exports.Set("quantizeTensor", Napi::Function::New(env, js_quantize_tensor));
  exports.Set("convertQuantized", Napi::Function::New(env, js_convert_quantized));
  exports.Set("numberFormats", Napi::Function::New(env, number_formats_for_js));
  exports.Set("quantLayouts", Napi::Function::New(env, quant_layouts_for_js));
  exports.Set("checkQuantized", Napi::Function::New(env, js_check_quantized));
  exports.Set("weightFormats", Napi::Function::New(env, weight_formats_for_js));
  NativeCalibrator::define(env, exports);
  NativeEngine::define(env, exports);
  NativeTrainer::define(env, exports);
  exports.Set("testing", testing::make_exports(env));
  return exports;
}

}  // namespace
}  // namespace espalier

static Napi::Object esp_init(Napi::Env env, Napi::Object exports) { return espalier::init(env, exports); }
NODE_API_MODULE(espalier, esp_init)
