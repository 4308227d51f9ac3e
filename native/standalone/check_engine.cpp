// One engine, used from many threads at once, and closed at every kind of moment.
// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>
#include <map>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "standalone/checks.h"
#include "standalone/tiny_engine.h"

namespace espalier::standalone {
namespace {

Request generate(uint64_t id) {
  Request request;
  request.id = id;
  request.prompt.assign(static_cast<size_t>(1 + id * 7 % 40), static_cast<int32_t>(id % 90));
  request.max_tokens = static_cast<int64_t>(1 + id % 12);
  request.sampling.temperature = id % 2 == 0 ? 0.0f : 1.0f;
  request.seed = id;
  return request;
}

// Requests from three threads, cancels and statistics from others; every request must end exactly once.
void use_from_many_threads(const EngineConfig& config) {
  constexpr uint64_t kRequests = 60;
  std::atomic<int> announced{0};
  std::unique_ptr<Engine> engine;
  require_ok(Engine::load(
      config, [&] { announced.fetch_add(1); }, &engine));
  std::vector<std::thread> threads;
  for (uint64_t first = 0; first < 3; ++first)
    threads.emplace_back([&, first] {
      for (uint64_t id = first; id < kRequests; id += 3) {
        require_ok(engine->submit(generate(id)));
        if (id % 5 == 0) engine->cancel(id);
      }
    });
  std::atomic<bool> done{false};
  threads.emplace_back([&] {
    while (!done.load()) {
      require(engine->stats().pages_total > 0, "statistics are empty");
      engine->cancel(12345);  // nobody's
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  std::map<uint64_t, int> ended;
  while (ended.size() < kRequests) {
    for (const Event& event : engine->take_events())
      if (event.kind == EventKind::kDone || event.kind == EventKind::kError) ++ended[event.request];
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  done.store(true);
  for (std::thread& thread : threads) thread.join();
  for (const auto& [id, times] : ended) require(times == 1, "a request ended twice");
  require(announced.load() > 0, "events were never announced");
}

// close() from one thread while another still submits, and a destructor right after loading.
void close_at_any_moment(const EngineConfig& config) {
  for (int wait_us : {0, 200, 2000, 20000}) {
    std::unique_ptr<Engine> engine;
    require_ok(Engine::load(
        config, [] {}, &engine));
    std::thread submitter([&] {
      for (uint64_t id = 0; id < 30; ++id)
        if (!engine->submit(generate(id)).is_ok()) return;  // closed meanwhile
    });
    std::this_thread::sleep_for(std::chrono::microseconds(wait_us));
    std::thread closer([&] { engine->close(); });
    engine->close();
    closer.join();
    submitter.join();
    engine->take_events();
  }
}

}  // namespace

void check_engine() {
  const TinyEngine tiny;
  EngineConfig config = tiny.config();
  for (const KvDType dtype : {KvDType::kF32, KvDType::kInt8, KvDType::kFp8}) {
    config.kv_dtype = dtype;
    use_from_many_threads(config);
  }
  close_at_any_moment(config);
}

}  // namespace espalier::standalone
