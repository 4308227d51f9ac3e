// SPDX-License-Identifier: Apache-2.0
#include "core/thread_pool.h"

#include <cstdlib>

#include "core/cpu_features.h"

namespace espalier {
namespace {

// How long a worker polls for the next run before it sleeps. A decode step forks every few microseconds; a futex
// wake-up costs tens. After this the worker burns nothing.
constexpr int kSpins = 4000;  // about 40-100 us with pause

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// ESPALIER_THREADS; 0 when it is unset or empty, -1 when it is no number of threads.
int environment_threads() {
  const char* text = std::getenv("ESPALIER_THREADS");
  if (text == nullptr || *text == '\0') return 0;
  char* end = nullptr;
  const long wanted = std::strtol(text, &end, 10);
  return *end == '\0' && wanted >= 1 && wanted <= kMaxThreads ? static_cast<int>(wanted) : -1;
}

}  // namespace

int default_thread_count() {
  const int wanted = environment_threads();
  if (wanted > 0) return wanted;
  const int cores = cpu_features().physical_cores;
  return cores < kMaxThreads ? cores : kMaxThreads;
}

Status thread_environment_status() {
  if (environment_threads() >= 0) return Status::ok();
  return Status("ERR_ARGUMENT", format_text("ESPALIER_THREADS: expected a whole number from 1 to %d, found \"%s\"",
                                            kMaxThreads, std::getenv("ESPALIER_THREADS")));
}

ThreadPool::ThreadPool(int threads) {
  try {
    for (int thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { work(thread); });
  } catch (...) {
    stop_workers();  // destroying a thread that was not joined would end the process
    throw;
  }
}

ThreadPool::~ThreadPool() { stop_workers(); }

void ThreadPool::stop_workers() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true, std::memory_order_seq_cst);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::drain(int thread) {
  for (;;) {
    const int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks_) return;
    fn_(context_, task, thread);
  }
}

void ThreadPool::work(int thread) {
  uint64_t seen = 0;
  for (;;) {
    int spins = 0;
    while (generation_.load(std::memory_order_acquire) == seen && !stop_.load(std::memory_order_relaxed)) {
      if (++spins < kSpins) {
        pause_cpu();
        continue;
      }
      std::unique_lock<std::mutex> lock(mutex_);
      sleeping_.fetch_add(1, std::memory_order_seq_cst);
      wake_.wait(lock, [&] {
        return generation_.load(std::memory_order_seq_cst) != seen || stop_.load(std::memory_order_relaxed);
      });
      sleeping_.fetch_sub(1, std::memory_order_relaxed);
    }
    if (stop_.load(std::memory_order_relaxed)) return;
    // Every worker takes part in every run (the caller waits for running_ to reach 0), so one is never skipped.
    seen = generation_.load(std::memory_order_acquire);
    drain(thread);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::run_shared(int64_t tasks, TaskFn fn, void* context) {
  std::lock_guard<std::mutex> one_caller(caller_mutex_);
  tasks_ = tasks;
  fn_ = fn;
  context_ = context;
  next_.store(0, std::memory_order_relaxed);
  running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_seq_cst);
  if (sleeping_.load(std::memory_order_seq_cst) > 0) {
    std::lock_guard<std::mutex> lock(mutex_);  // a worker between its test and its wait cannot miss this
    wake_.notify_all();
  }
  drain(0);
  int spins = 0;
  while (running_.load(std::memory_order_acquire) != 0) {
    if (++spins < kSpins)
      pause_cpu();
    else
      std::this_thread::yield();
  }
}

}  // namespace espalier
