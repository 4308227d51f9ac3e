// ThreadPool: fork-join over the physical cores. The caller takes part; workers sleep when idle.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

#include "core/status.h"

namespace espalier {

constexpr int kMaxThreads = 256;

// ESPALIER_THREADS, or the number of physical cores this process may use. At least 1, at most kMaxThreads.
int default_thread_count();
// The error of a bad ESPALIER_THREADS, if any; ok otherwise. Engines that are not told their threads report it on load.
Status thread_environment_status();

class ThreadPool {
 public:
  // Throws std::system_error when the system gives no more threads.
  explicit ThreadPool(int threads = default_thread_count());
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls fn(task, thread) for every task in [0, tasks); thread in [0, threads()). Tasks are handed out in order,
  // one at a time, to whichever thread is free. Returns when all are done. One caller at a time; others wait.
  // fn must not throw and must not call run on the same pool.
  template <typename F>
  void run(int64_t tasks, F&& fn) {
    if (tasks <= 0) return;
    if (tasks == 1 || workers_.empty()) {
      for (int64_t task = 0; task < tasks; ++task) fn(task, 0);
      return;
    }
    using Function = std::remove_reference_t<F>;
    run_shared(
        tasks, [](void* context, int64_t task, int thread) { (*static_cast<Function*>(context))(task, thread); },
        const_cast<void*>(static_cast<const void*>(&fn)));
  }

  // Calls fn(begin, end, thread) on contiguous ranges of [0, count), each a multiple of `grain` (the last excepted).
  template <typename F>
  void run_ranges(int64_t count, int64_t grain, F&& fn) {
    if (count <= 0) return;
    const int64_t pieces = (count + grain - 1) / grain;
    const int64_t parts = pieces < threads() ? pieces : threads();
    run(parts, [&](int64_t part, int thread) {
      const int64_t begin = pieces * part / parts * grain;
      const int64_t end = pieces * (part + 1) / parts * grain;
      fn(begin, end < count ? end : count, thread);
    });
  }

 private:
  using TaskFn = void (*)(void* context, int64_t task, int thread);
  void run_shared(int64_t tasks, TaskFn fn, void* context);
  void work(int thread);
  void drain(int thread);
  void stop_workers();

  std::vector<std::thread> workers_;
  std::mutex caller_mutex_;  // one run at a time

  std::mutex mutex_;  // guards sleeping
  std::condition_variable wake_;
  std::atomic<int> sleeping_{0};
  std::atomic<bool> stop_{false};

  std::atomic<uint64_t> generation_{0};  // one more with each run
  std::atomic<int64_t> next_{0};
  std::atomic<int> running_{0};  // workers still inside the current run
  int64_t tasks_ = 0;
  TaskFn fn_ = nullptr;
  void* context_ = nullptr;
};

}  // namespace espalier
