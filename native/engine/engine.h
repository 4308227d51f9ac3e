// Engine: weights, cache and scheduler on a thread of their own. Requests go in from any thread; events come out in
// batches through a callback that must not block.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/thread_pool.h"
#include "engine/scheduler.h"
#include "engine/weights.h"

namespace espalier {

struct EngineConfig {
  std::string weights_path;
  std::string backend = "cpu";
  ModelSpec spec;
  std::vector<EngineTensor> tensors;
  bool rotated = false;  // see DecoderWeights
  KvDType kv_dtype = KvDType::kF32;
  std::vector<float> kv_scales;  // KvCachePool::scales; empty: a scale for each token
  int64_t context_tokens = 0;    // of one sequence
  int64_t kv_tokens = 0;         // of all sequences and the prefix cache together; rounded up to pages
  int64_t max_sequences = 8;
  int64_t prefill_chunk = 512;
  int32_t threads = 0;  // 0 = default
  int32_t isa = -1;     // -1 = best
};

struct EngineStats {
  int64_t active, waiting;          // sequences
  int64_t pages_total, pages_free;  // pages that could be handed out now
  int64_t pages_cached;
  int64_t weight_bytes, kv_bytes, workspace_bytes;
};

class Engine {
 public:
  // ERR_ENGINE_FORMAT, ERR_OUT_OF_MEMORY, ERR_BACKEND_*, ERR_ISA. `notify` is called from the engine's thread whenever
  // events are waiting that were not announced yet.
  static Status load(EngineConfig config, std::function<void()> notify, std::unique_ptr<Engine>* out);
  ~Engine();  // close()
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // ERR_CONTEXT_LENGTH, ERR_EMPTY_PROMPT, ERR_TOKEN_ID, ERR_ENGINE_CLOSED.
  Status submit(Request request);
  void cancel(uint64_t id);
  // Everything that happened since the last call, oldest first.
  std::vector<Event> take_events();
  EngineStats stats() const;
  // Stops after at most one layer of work and joins; requests still open end as cancelled. May be called twice.
  void close();

 private:
  Engine(EngineConfig config, std::function<void()> notify);
  Status open();
  Status open_cache();
  Status check_request(const Request& request) const;
  void run();
  void step();
  void emit(Event&& event);
  void publish_stats();

  struct Arrival {
    Request request;
    Scheduler::Clock::time_point at;
  };

  EngineConfig config_;
  std::function<void()> notify_;
  EngineWeights weights_;
  const Backend* backend_ = nullptr;
  void* device_ = nullptr;
  void* cache_ = nullptr;
  size_t cache_bytes_ = 0;
  std::unique_ptr<ThreadPool> sampling_pool_;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<Scheduler> scheduler_;  // touched by the engine's thread only, once that runs

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::vector<Arrival> arrivals_;
  std::vector<uint64_t> cancels_;
  std::vector<Event> events_;
  EngineStats stats_{};
  bool closed_ = false;

  std::atomic<bool> stop_{false};
  std::mutex close_mutex_;
  std::thread thread_;
};

}  // namespace espalier
