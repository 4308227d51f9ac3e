// The backend C table: what the engine calls, whatever does the work. The CPU's table is in the addon; CUDA and
// TensorRT bring theirs in shared objects that export `espalier_backend`. Plain C types at this border; nothing throws.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/attention/attention.h"
#include "kernels/embedding/embedding.h"
#include "kernels/kv_append/kv_append.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/rotation/rotation.h"
#include "kernels/softmax/softmax.h"
#include "kernels/swiglu/swiglu.h"

namespace espalier {

// Raised whenever this table or an argument struct changes; a shared object of another version is refused.
constexpr uint32_t kBackendApiVersion = 3;

enum class BackendOp : int32_t {
  kEmbedding,
  kMatmul,
  kMatmulSwiglu,
  kRmsNorm,
  kLayerNorm,
  kRope,
  kRotation,
  kKvAppend,
  kAttention,
  kSwiglu,
  kSoftmax,
  kTokenLogprob,
};

// Zero-terminated, truncated when longer. An entry returns 0 for success, else 1 with this filled in.
struct BackendError {
  char code[48];
  char what[464];
  char hint[256];
};

// score 0 = cannot run here; `why` says what is missing, or what was found. `auto` takes the highest score.
struct BackendProbe {
  int32_t score;
  char why[256];
};

struct BackendOpenArgs {
  int32_t threads;  // 0 = default
  int32_t isa;      // an Isa value; -1 = best
};

struct Backend {
  uint32_t api_version;
  uint32_t struct_size;  // sizeof(Backend), a second guard
  const char* name;      // "cpu"

  void (*probe)(BackendProbe* out);
  // format: a weight format id, or nullptr for ops without weights.
  bool (*supports_op)(BackendOp op, const char* format);

  int32_t (*open)(const BackendOpenArgs* args, void** device, BackendError* error);
  void (*close)(void* device);

  // Device memory, 64-byte aligned. Pages stay untouched until used.
  int32_t (*allocate)(void* device, size_t bytes, void** out, BackendError* error);
  void (*release)(void* device, void* memory, size_t bytes);
  int32_t (*upload)(void* device, void* to, const void* from, size_t bytes, BackendError* error);
  int32_t (*download)(void* device, void* to, const void* from, size_t bytes, BackendError* error);
  // Within the device's memory.
  int32_t (*copy)(void* device, void* to, const void* from, size_t bytes, BackendError* error);
  int32_t (*synchronize)(void* device, BackendError* error);

  // Ops: argument structs of kernels/<op>/, pointers in device memory, results ordered as issued.
  size_t (*matmul_workspace_size)(void* device, const MatmulArgs* args, int32_t count);
  size_t (*matmul_swiglu_workspace_size)(void* device, const MatmulSwigluArgs* args);
  size_t (*attention_workspace_size)(void* device, const AttentionArgs* args);
  int32_t (*embedding)(void* device, const EmbeddingArgs* args, BackendError* error);
  int32_t (*matmul)(void* device, const MatmulArgs* args, int32_t count, void* workspace, size_t bytes,
                    BackendError* error);
  int32_t (*matmul_swiglu)(void* device, const MatmulSwigluArgs* args, void* workspace, size_t bytes,
                           BackendError* error);
  int32_t (*rms_norm)(void* device, const RmsNormArgs* args, BackendError* error);
  int32_t (*layer_norm)(void* device, const LayerNormArgs* args, BackendError* error);
  int32_t (*rope)(void* device, const RopeArgs* args, BackendError* error);
  int32_t (*rotation)(void* device, const RotationArgs* args, BackendError* error);
  int32_t (*kv_append)(void* device, const KvAppendArgs* args, BackendError* error);
  int32_t (*attention)(void* device, const AttentionArgs* args, void* workspace, size_t bytes, BackendError* error);
  int32_t (*swiglu)(void* device, const SwigluArgs* args, BackendError* error);
  int32_t (*softmax)(void* device, const SoftmaxArgs* args, BackendError* error);
  int32_t (*token_logprob)(void* device, const TokenLogprobArgs* args, BackendError* error);
};

// The symbol a backend's shared object exports.
using BackendEntry = const Backend* (*)();
constexpr const char* kBackendSymbol = "espalier_backend";

}  // namespace espalier
