// WorkThread: a thread that runs jobs one after the other and settles a promise for each on the event loop.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/status.h"

namespace espalier {

// Used from the event loop only. While jobs are open the process is kept alive, and so is `owner`.
class WorkThread {
 public:
  using Work = std::function<Status()>;                  // on the thread; touches no JavaScript
  using Result = std::function<Napi::Value(Napi::Env)>;  // on the event loop, after work that succeeded

  // `hurry` is called, from the event loop, when stop() would wait for a job. Throws ERR_THREADS as a JavaScript error.
  WorkThread(Napi::Env env, const char* name, Napi::Object owner, std::function<void()> hurry);
  // As stop().
  ~WorkThread();
  WorkThread(const WorkThread&) = delete;
  WorkThread& operator=(const WorkThread&) = delete;

  // `keep` is referenced until the job is done.
  Napi::Promise run(Work work, Result result, const std::vector<Napi::Object>& keep = {});
  // Runs `work` without a promise, in its turn.
  void post(Work work);
  // Ends the thread after the jobs handed in so far and settles their promises; `released` then runs on the thread.
  // run() and post() must not be called afterwards.
  Napi::Promise close(std::function<void()> released);
  // At once, for an environment that ends: the job that runs is waited for, others are dropped, no promise is settled.
  void stop();

 private:
  struct Job {
    Work work;
    Result result;
    std::unique_ptr<Napi::Promise::Deferred> deferred;  // nullptr: nobody waits
    std::vector<Napi::ObjectReference> keep;
    Status status;
  };
  static void on_environment_exit(void* self);
  void loop();
  void hand_in(std::unique_ptr<Job> job);
  void settle();
  void settle_job(Job& job);

  napi_env env_;
  std::function<void()> hurry_;
  Napi::ObjectReference owner_;
  Napi::ThreadSafeFunction notify_;
  size_t open_jobs_ = 0;
  bool stopped_ = false;

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> waiting_;
  std::deque<std::unique_ptr<Job>> done_;
  bool ending_ = false;

  std::thread thread_;
};

}  // namespace espalier
