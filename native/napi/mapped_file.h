// The MappedFile class of the addon, for the other files of napi/ that take one.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <memory>

#include "core/mapped_file.h"
#include "model/tensor_source.h"

namespace espalier {

Napi::Function mapped_file_class(Napi::Env env);

// The file behind a JavaScript MappedFile, kept open by the pointer. Throws ERR_ARGUMENT when `value` is something
// else, ERR_FILE_CLOSED after close().
std::shared_ptr<const MappedFile> mapped_file_of(const Napi::Value& value);

// { offset, sizeBytes, type: "q4_1", rows, cols, permuteHeads? } -> TensorSource. Throws ERR_ARGUMENT, ERR_GGUF_TYPE.
TensorSource tensor_source_of(const Napi::Object& options);

// binding.sourceTypes(): [{ name, blockElements, blockBytes, writable }]
Napi::Value source_types_for_js(const Napi::CallbackInfo& info);

// binding.readTensor(mapped, source, { rowBegin, rowCount, dtype, transform? }, out: Uint8Array): Promise<void>
Napi::Value read_tensor_for_js(const Napi::CallbackInfo& info);

}  // namespace espalier
