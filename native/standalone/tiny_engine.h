// A random two-layer Llama as an engine needs it, written to a file of its own.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "engine/engine.h"

namespace espalier::standalone {

// The file is removed with the object.
class TinyEngine {
 public:
  TinyEngine();
  ~TinyEngine();
  TinyEngine(const TinyEngine&) = delete;
  TinyEngine& operator=(const TinyEngine&) = delete;

  EngineConfig config() const { return config_; }

 private:
  void add(const char* role, int64_t layer, int64_t n, int64_t k);
  EngineConfig config_;
  std::string bytes_;
};

}  // namespace espalier::standalone
