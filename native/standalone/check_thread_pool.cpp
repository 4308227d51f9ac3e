// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "core/thread_pool.h"
#include "standalone/checks.h"

namespace espalier::standalone {
namespace {

// Results are plain memory: the pool itself must order them for the caller.
void run_many(int threads, int runs) {
  ThreadPool pool(threads);
  std::vector<int> visits(37);
  for (int run = 0; run < runs; ++run) {
    const int64_t tasks = run % static_cast<int>(visits.size()) + 1;
    for (int64_t task = 0; task < tasks; ++task) visits[task] = run;
    pool.run(tasks, [&](int64_t task, int) { ++visits[task]; });
    for (int64_t task = 0; task < tasks; ++task) require(visits[task] == run + 1, "a task ran other than once");
    // now and then the workers fall asleep between runs
    if (run % 500 == 499) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void run_from_many_callers() {
  ThreadPool pool(3);
  std::vector<int> sums(4);
  std::vector<std::thread> callers;
  for (int& sum : sums)
    callers.emplace_back([&pool, &sum] {
      for (int run = 0; run < 200; ++run) {
        int parts[5] = {};
        pool.run_ranges(5, 1, [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin; i < end; ++i) parts[i] = 1;
        });
        for (int part : parts) sum += part;
      }
    });
  for (std::thread& caller : callers) caller.join();
  for (int sum : sums) require(sum == 200 * 5, "a caller missed a task");
}

}  // namespace

void check_thread_pool() {
  for (int threads : {1, 2, 3, 8}) run_many(threads, 3000);
  run_from_many_callers();
  for (int i = 0; i < 50; ++i) ThreadPool unused(4);  // made and gone without a run
}

}  // namespace espalier::standalone
