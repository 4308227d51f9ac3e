// The CPU backend: the table's entries over the kernels' drivers. Always present.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/cpu_backend.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <new>

#include "backend/error.h"
#include "core/cpu_features.h"
#include "core/thread_pool.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

struct CpuDevice {
  CpuDevice(int threads, Isa isa) : pool(threads), context{&pool, isa} {}
  ThreadPool pool;
  CpuContext context;
};

const CpuContext& context_of(void* device) { return static_cast<CpuDevice*>(device)->context; }

void probe(BackendProbe* out) {
  out->score = 1;
  std::snprintf(out->why, sizeof out->why, "%s, %s kernels, %d threads", cpu_features().model_name.c_str(),
                isa_name(current_isa()), default_thread_count());
}

bool supports_op(BackendOp op, const char* format) {
  if (format == nullptr) return true;
  const bool has_weights = op == BackendOp::kEmbedding || op == BackendOp::kMatmul || op == BackendOp::kMatmulSwiglu;
  return has_weights && find_weight_format(format) != nullptr;
}

int32_t open(const BackendOpenArgs* args, void** device, BackendError* error) {
  const Isa isa = args->isa < 0 ? current_isa() : static_cast<Isa>(args->isa);
  if (args->isa >= kIsaCount || !isa_runs_here(isa))
    return report(Status("ERR_ISA", format_text("isa: this CPU cannot run level %d", args->isa)), error);
  try {
    *device = new CpuDevice(args->threads > 0 ? args->threads : default_thread_count(), isa);
    return 0;
  } catch (const std::exception& failure) {
    return report(Status("ERR_THREADS", format_text("cannot start the thread pool: %s", failure.what())), error);
  }
}

void close(void* device) { delete static_cast<CpuDevice*>(device); }

int32_t allocate(void* device, size_t bytes, void** out, BackendError* error) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return report(Status("ERR_OUT_OF_MEMORY", format_text("cannot reserve %zu bytes", bytes)), error);
  *out = memory;
  return 0;
}

void release(void* device, void* memory, size_t bytes) {
  if (memory != nullptr) munmap(memory, bytes);
}

int32_t copy(void* device, void* to, const void* from, size_t bytes, BackendError* error) {
  std::memcpy(to, from, bytes);
  return 0;
}

int32_t synchronize(void* device, BackendError* error) { return 0; }

size_t matmul_space(void* device, const MatmulArgs* args, int32_t count) {
  return matmul_workspace_size(context_of(device), args, count);
}
size_t matmul_swiglu_space(void* device, const MatmulSwigluArgs* args) {
  return matmul_swiglu_workspace_size(context_of(device), *args);
}
size_t attention_space(void* device, const AttentionArgs* args) {
  return attention_workspace_size(context_of(device), *args);
}

int32_t run_matmul(void* device, const MatmulArgs* args, int32_t count, void* workspace, size_t bytes,
                   BackendError* error) {
  return report(matmul(context_of(device), args, count, workspace, bytes), error);
}
int32_t run_matmul_swiglu(void* device, const MatmulSwigluArgs* args, void* workspace, size_t bytes,
                          BackendError* error) {
  return report(matmul_swiglu(context_of(device), *args, workspace, bytes), error);
}
int32_t run_attention(void* device, const AttentionArgs* args, void* workspace, size_t bytes, BackendError* error) {
  return report(attention(context_of(device), *args, workspace, bytes), error);
}

// Entry of an op that takes (context, args) and needs no workspace.
template <typename Args, Status (*op)(const CpuContext&, const Args&)>
int32_t run_op(void* device, const Args* args, BackendError* error) {
  return report(op(context_of(device), *args), error);
}

const Backend kTable = {
    .api_version = kBackendApiVersion,
    .struct_size = sizeof(Backend),
    .name = "cpu",
    .probe = probe,
    .supports_op = supports_op,
    .open = open,
    .close = close,
    .allocate = allocate,
    .release = release,
    .upload = copy,
    .download = copy,
    .copy = copy,
    .synchronize = synchronize,
    .matmul_workspace_size = matmul_space,
    .matmul_swiglu_workspace_size = matmul_swiglu_space,
    .attention_workspace_size = attention_space,
    .embedding = run_op<EmbeddingArgs, embedding>,
    .matmul = run_matmul,
    .matmul_swiglu = run_matmul_swiglu,
    .rms_norm = run_op<RmsNormArgs, rms_norm>,
    .layer_norm = run_op<LayerNormArgs, layer_norm>,
    .rope = run_op<RopeArgs, rope>,
    .rotation = run_op<RotationArgs, rotation>,
    .kv_append = run_op<KvAppendArgs, kv_append>,
    .attention = run_attention,
    .swiglu = run_op<SwigluArgs, swiglu>,
    .softmax = run_op<SoftmaxArgs, softmax>,
    .token_logprob = run_op<TokenLogprobArgs, token_logprob>,
};

}  // namespace

const Backend* cpu_backend() { return &kTable; }

}  // namespace espalier
