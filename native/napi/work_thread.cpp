// SPDX-License-Identifier: Apache-2.0
#include "napi/work_thread.h"

#include <new>
#include <system_error>
#include <utility>

#include "napi/guard.h"

namespace espalier {
namespace {

// Nothing leaves the thread by exception.
Status run_guarded(const WorkThread::Work& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return Status("ERR_OUT_OF_MEMORY", "the native core could not allocate memory");
  } catch (const std::exception& error) {
    return Status("ERR_INTERNAL", error.what());
  }
}

}  // namespace

WorkThread::WorkThread(Napi::Env env, const char* name, Napi::Object owner, std::function<void()> hurry)
    : env_(env), hurry_(std::move(hurry)), owner_(Napi::Reference<Napi::Object>::New(owner, 0)) {
  const auto on_done = Napi::Function::New(env, [this](const Napi::CallbackInfo&) { settle(); });
  notify_ = Napi::ThreadSafeFunction::New(env, on_done, name, 0, 1);
  notify_.Unref(env);
  try {
    thread_ = std::thread([this] { loop(); });
  } catch (const std::system_error& error) {
    notify_.Release();
    throw to_js_error(env, Status("ERR_THREADS", format_text("cannot start a thread: %s", error.what())));
  }
  // Runs before the thread-safe function's own hook (last in, first out), so nothing calls into a dying environment.
  napi_add_env_cleanup_hook(env_, on_environment_exit, this);
}

WorkThread::~WorkThread() { stop(); }

void WorkThread::on_environment_exit(void* self) { static_cast<WorkThread*>(self)->stop(); }

void WorkThread::stop() {
  if (stopped_) return;
  stopped_ = true;
  napi_remove_env_cleanup_hook(env_, on_environment_exit, this);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.clear();
    ending_ = true;
  }
  wake_.notify_one();
  if (open_jobs_ > 0) hurry_();
  thread_.join();
  done_.clear();
  notify_.Abort();
}

void WorkThread::loop() {
  for (;;) {
    std::unique_ptr<Job> job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      job = std::move(waiting_.front());
      waiting_.pop_front();
    }
    job->status = run_guarded(job->work);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      done_.push_back(std::move(job));
    }
    notify_.NonBlockingCall();
  }
}

void WorkThread::hand_in(std::unique_ptr<Job> job) {
  if (open_jobs_++ == 0) {
    notify_.Ref(env_);
    owner_.Ref();
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back(std::move(job));
  }
  wake_.notify_one();
}

Napi::Promise WorkThread::run(Work work, Result result, const std::vector<Napi::Object>& keep) {
  auto job = std::make_unique<Job>();
  job->work = std::move(work);
  job->result = std::move(result);
  job->deferred = std::make_unique<Napi::Promise::Deferred>(Napi::Env(env_));
  for (const Napi::Object& object : keep) job->keep.push_back(Napi::Persistent(object));
  const Napi::Promise promise = job->deferred->Promise();
  hand_in(std::move(job));
  return promise;
}

void WorkThread::post(Work work) {
  auto job = std::make_unique<Job>();
  job->work = std::move(work);
  hand_in(std::move(job));
}

Napi::Promise WorkThread::close(std::function<void()> released) {
  const Napi::Promise promise = run(
      [released = std::move(released)] {
        released();
        return Status::ok();
      },
      [this](Napi::Env env) -> Napi::Value {
        stop();  // the thread has nothing left to do
        return env.Undefined();
      });
  return promise;
}

void WorkThread::settle_job(Job& job) {
  const Napi::Env env(env_);
  if (job.deferred == nullptr) return;
  if (!job.status.is_ok()) return job.deferred->Reject(to_js_error(env, job.status).Value());
  try {
    job.deferred->Resolve(job.result(env));
  } catch (const Napi::Error& error) {
    job.deferred->Reject(error.Value());
  }
}

void WorkThread::settle() {
  for (;;) {
    std::unique_ptr<Job> job;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (done_.empty()) return;
      job = std::move(done_.front());
      done_.pop_front();
    }
    const Napi::HandleScope scope(env_);
    const Napi::Value owner = owner_.Value();  // not collected before the end of this scope
    settle_job(*job);
    if (--open_jobs_ > 0) continue;
    owner_.Unref();
    if (stopped_) return;
    notify_.Unref(env_);
  }
}

}  // namespace espalier
