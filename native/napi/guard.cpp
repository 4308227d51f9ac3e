// SPDX-License-Identifier: Apache-2.0
#include "napi/guard.h"

namespace espalier {

Napi::Error to_js_error(Napi::Env env, const Status& status) {
  Napi::Error error = Napi::Error::New(env, status.what());
  error.Value().Set("code", Napi::String::New(env, status.code()));
  if (!status.hint().empty()) error.Value().Set("hint", Napi::String::New(env, status.hint()));
  return error;
}

void throw_if_error(Napi::Env env, const Status& status) {
  if (!status.is_ok()) throw to_js_error(env, status);
}

}  // namespace espalier
