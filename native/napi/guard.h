// The border: everything thrown or returned by the core becomes a JavaScript error with a `code`, here and only here.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include "core/status.h"

namespace espalier {

// Error object with `code` and, when there is one, `hint`.
Napi::Error to_js_error(Napi::Env env, const Status& status);

// Throws (as a C++ exception that node-addon-api turns into a JavaScript one) when `status` is an error.
void throw_if_error(Napi::Env env, const Status& status);

// Runs a binding function; std::bad_alloc and other C++ exceptions become coded JavaScript errors.
template <typename F>
Napi::Value guarded(const Napi::CallbackInfo& info, F&& body) {
  try {
    return body(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw to_js_error(info.Env(), Status("ERR_OUT_OF_MEMORY", "the native core could not allocate memory"));
  } catch (const std::exception& error) {
    throw to_js_error(info.Env(), Status("ERR_INTERNAL", error.what()));
  } catch (...) {
    throw to_js_error(info.Env(), Status("ERR_INTERNAL", "unknown C++ exception"));
  }
}

}  // namespace espalier
