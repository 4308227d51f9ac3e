// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "backend/error.h"
#include "backend/registry.h"
#include "core/cpu_features.h"
#include "core/thread_pool.h"

namespace espalier {

Engine::Engine(EngineConfig config, std::function<void()> notify)
    : config_(std::move(config)), notify_(std::move(notify)) {}

Status Engine::load(EngineConfig config, std::function<void()> notify, std::unique_ptr<Engine>* out) {
  std::unique_ptr<Engine> engine(new Engine(std::move(config), std::move(notify)));
  ESP_RETURN_IF_ERROR(engine->open());
  *out = std::move(engine);
  return Status::ok();
}

Status Engine::open() {
  ESP_RETURN_IF_ERROR(isa_environment_status());
  if (config_.threads == 0) ESP_RETURN_IF_ERROR(thread_environment_status());
  ESP_RETURN_IF_ERROR(load_weights(config_.weights_path, config_.spec, config_.tensors, &weights_));
  weights_.decoder.rotated = config_.rotated;
  ESP_RETURN_IF_ERROR(find_backend(config_.backend, &backend_));
  BackendError error{};
  const BackendOpenArgs args{config_.threads, config_.isa};
  ESP_RETURN_IF_ERROR(status_of(backend_->open(&args, &device_, &error), error));
  ESP_RETURN_IF_ERROR(open_cache());
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    return Status("ERR_THREADS", format_text("cannot start the engine's thread: %s", error.what()));
  }
  return Status::ok();
}

Status Engine::open_cache() {
  const ModelSpec& spec = config_.spec;
  const int64_t pages = KvPages::pages_for(std::max(config_.kv_tokens, config_.context_tokens));
  KvCachePool pool;
  pool.dtype = config_.kv_dtype;
  const size_t scales = static_cast<size_t>(2 * spec.num_layers * spec.num_kv_heads);
  if (!config_.kv_scales.empty()) {
    if (config_.kv_scales.size() != scales)
      return Status("ERR_SHAPE", format_text("kvScales: expected %zu numbers (2 x layers x kv heads), found %zu",
                                             scales, config_.kv_scales.size()));
    pool.scales = config_.kv_scales.data();
  }
  pool.value_offset_bytes = spec.num_kv_heads * kv_head_bytes(pool.dtype, spec.head_dim);
  pool.layer_stride_bytes = 2 * pool.value_offset_bytes;
  pool.page_stride_bytes = spec.num_layers * pool.layer_stride_bytes;
  cache_bytes_ = static_cast<size_t>(pages * pool.page_stride_bytes);
  BackendError error{};
  ESP_RETURN_IF_ERROR(status_of(backend_->allocate(device_, cache_bytes_, &cache_, &error), error));
  pool.base = static_cast<char*>(cache_);
  decoder_ = std::make_unique<Decoder>(backend_, device_, spec, weights_.decoder);
  sampling_pool_ = std::make_unique<ThreadPool>(1);  // sampling runs on the engine's own thread
  const CpuContext sampling{sampling_pool_.get(), config_.isa < 0 ? current_isa() : static_cast<Isa>(config_.isa)};
  const SchedulerLimits limits{config_.context_tokens, config_.max_sequences, config_.prefill_chunk};
  scheduler_ = std::make_unique<Scheduler>(decoder_.get(), sampling, pool, pages, limits,
                                           [this](Event&& event) { emit(std::move(event)); });
  publish_stats();
  return Status::ok();
}

Engine::~Engine() {
  close();
  scheduler_.reset();
  decoder_.reset();
  if (backend_ == nullptr || device_ == nullptr) return;
  backend_->release(device_, cache_, cache_bytes_);
  backend_->close(device_);
}

void Engine::close() {
  std::lock_guard<std::mutex> one_closer(close_mutex_);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    stop_.store(true, std::memory_order_relaxed);
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Status Engine::check_request(const Request& request) const {
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  if (prompt == 0) return Status("ERR_EMPTY_PROMPT", "prompt: expected at least one token id, found none");
  const int64_t room = config_.context_tokens - (request.kind == RequestKind::kGenerate ? 1 : 0);
  if (prompt > room)
    return Status(
        "ERR_CONTEXT_LENGTH",
        format_text("prompt: expected at most %lld tokens (context %lld), found %lld", static_cast<long long>(room),
                    static_cast<long long>(config_.context_tokens), static_cast<long long>(prompt)));
  const int64_t last = std::max<int64_t>(1, prompt - 1);
  if (request.score_from < 1 || request.score_from > last)
    return Status("ERR_ARGUMENT",
                  format_text("from: expected 1 to %lld (the last of the ids), found %lld",
                              static_cast<long long>(last), static_cast<long long>(request.score_from)));
  for (int64_t i = 0; i < prompt; ++i)
    if (request.prompt[i] < 0 || request.prompt[i] >= config_.spec.vocab_size)
      return Status("ERR_TOKEN_ID", format_text("ids[%lld]: expected 0 <= id < %lld (the vocabulary), found %d",
                                                static_cast<long long>(i),
                                                static_cast<long long>(config_.spec.vocab_size), request.prompt[i]));
  return Status::ok();
}

Status Engine::submit(Request request) {
  ESP_RETURN_IF_ERROR(check_request(request));
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return Status("ERR_DISPOSED", "the engine is disposed");
    arrivals_.push_back({std::move(request), Scheduler::Clock::now()});
  }
  wake_.notify_one();
  return Status::ok();
}

void Engine::cancel(uint64_t id) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    cancels_.push_back(id);
  }
  wake_.notify_one();
}

std::vector<Event> Engine::take_events() {
  std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(events_, {});
}

EngineStats Engine::stats() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return stats_;
}

void Engine::emit(Event&& event) {
  bool first;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    first = events_.empty();
    events_.push_back(std::move(event));
  }
  if (first) notify_();
}

void Engine::publish_stats() {
  const KvPages& pages = scheduler_->pages();
  const EngineStats stats{scheduler_->active(),
                          scheduler_->waiting(),
                          pages.total(),
                          pages.available(),
                          pages.cached(),
                          static_cast<int64_t>(weights_.file->size()),
                          static_cast<int64_t>(cache_bytes_),
                          static_cast<int64_t>(decoder_->workspace_bytes())};
  std::lock_guard<std::mutex> lock(mutex_);
  stats_ = stats;
}

// Nothing leaves the engine's thread by exception: what the standard library throws ends the sequences, not the
// process.
void Engine::step() {
  try {
    scheduler_->step(&stop_);
  } catch (const std::bad_alloc&) {
    scheduler_->fail_all(Status("ERR_OUT_OF_MEMORY", "the engine could not allocate memory for a step"));
  } catch (const std::exception& error) {
    scheduler_->fail_all(Status("ERR_INTERNAL", error.what()));
  }
}

void Engine::run() {
  std::vector<Arrival> arrivals;
  std::vector<uint64_t> cancels;
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return closed_ || !arrivals_.empty() || !cancels_.empty() || !scheduler_->idle(); });
      arrivals.swap(arrivals_);
      cancels.swap(cancels_);
      if (closed_) break;
    }
    for (Arrival& arrival : arrivals) scheduler_->add(std::move(arrival.request), arrival.at);
    for (const uint64_t id : cancels) scheduler_->cancel(id);
    arrivals.clear();
    cancels.clear();
    step();
    publish_stats();
  }
  for (Arrival& arrival : arrivals) scheduler_->add(std::move(arrival.request), arrival.at);
  scheduler_->cancel_all();
}

}  // namespace espalier
