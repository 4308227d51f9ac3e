// Test exports of the thread pool, the arena, the random numbers and the ISA override.
// SPDX-License-Identifier: Apache-2.0
#include <time.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/arena.h"
#include "core/cpu_features.h"
#include "core/rng.h"
#include "core/thread_pool.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { visits: Int32Array, tasks, threads, repeats } adds 1 to visits[task] on each call of a task -> number of calls with
// a thread number out of range
Napi::Value test_thread_pool_run(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  ThreadPool pool(static_cast<int>(int_of(o, "threads", 1)));
  int32_t* visits = data_of<int32_t>(o, "visits");
  std::atomic<int64_t> wrong{0};
  const int64_t repeats = int_of(o, "repeats", 1), tasks = int_of(o, "tasks");
  for (int64_t repeat = 0; repeat < repeats; ++repeat)
    pool.run(tasks, [&](int64_t task, int thread) {
      ++visits[task];  // without an atomic: a task handed to two threads may lose a count and is found out
      if (thread < 0 || thread >= pool.threads()) wrong.fetch_add(1);
    });
  return Napi::Number::New(info.Env(), static_cast<double>(wrong.load()));
}
ESP_TEST_EXPORT(thread_pool_run);

// { visits: Int32Array, count, grain, threads } adds 1 to each index of each range -> ranges that do not begin at a
// multiple of grain, are empty or exceed count
Napi::Value test_thread_pool_ranges(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  ThreadPool pool(static_cast<int>(int_of(o, "threads", 1)));
  const int64_t count = int_of(o, "count"), grain = int_of(o, "grain", 1);
  int32_t* visits = data_of<int32_t>(o, "visits");
  std::atomic<int64_t> wrong{0};
  pool.run_ranges(count, grain, [&](int64_t begin, int64_t end, int) {
    if (begin % grain != 0 || begin >= end || end > count) wrong.fetch_add(1);
    for (int64_t i = begin; i < end; ++i) ++visits[i];
  });
  return Napi::Number::New(info.Env(), static_cast<double>(wrong.load()));
}
ESP_TEST_EXPORT(thread_pool_ranges);

// { threads, callers, runs, tasks }: several threads use one pool at once -> tasks done
Napi::Value test_thread_pool_callers(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  ThreadPool pool(static_cast<int>(int_of(o, "threads", 2)));
  std::atomic<int64_t> done{0};
  std::vector<std::thread> callers;
  for (int64_t caller = 0; caller < int_of(o, "callers"); ++caller)
    callers.emplace_back([&, runs = int_of(o, "runs"), tasks = int_of(o, "tasks")] {
      for (int64_t i = 0; i < runs; ++i) pool.run(tasks, [&](int64_t, int) { done.fetch_add(1); });
    });
  for (std::thread& caller : callers) caller.join();
  return Napi::Number::New(info.Env(), static_cast<double>(done.load()));
}
ESP_TEST_EXPORT(thread_pool_callers);

// { threads, milliseconds } -> CPU milliseconds the process spends while the pool idles after a run
Napi::Value test_thread_pool_idle(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  ThreadPool pool(static_cast<int>(int_of(o, "threads", 2)));
  pool.run(64, [](int64_t, int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // workers poll for a moment before they sleep
  const auto cpu_seconds = [] {
    timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return static_cast<double>(spent.tv_sec) + 1e-9 * static_cast<double>(spent.tv_nsec);
  };
  const double before = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(int_of(o, "milliseconds", 200)));
  return Napi::Number::New(info.Env(), (cpu_seconds() - before) * 1e3);
}
ESP_TEST_EXPORT(thread_pool_idle);

// { capacity (bytes; absent measures only), counts: Int32Array of f32 counts, offsets: Float64Array } writes the offset
// of each block, -1 for nullptr -> used()
Napi::Value test_arena(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const Napi::TypedArray counts = o.Get("counts").As<Napi::TypedArray>();
  AlignedBuffer memory;
  Arena arena;
  if (o.Get("capacity").IsNumber()) {
    throw_if_error(info.Env(), memory.reserve(static_cast<size_t>(int_of(o, "capacity"))));
    arena = Arena(memory.as<void>(), static_cast<size_t>(int_of(o, "capacity")));
  }
  for (size_t i = 0; i < counts.ElementLength(); ++i) {
    float* block = arena.take<float>(static_cast<size_t>(data_of<int32_t>(o, "counts")[i]));
    data_of<double>(o, "offsets")[i] =
        block == nullptr ? -1.0 : static_cast<double>(reinterpret_cast<char*>(block) - memory.as<char>());
  }
  return Napi::Number::New(info.Env(), static_cast<double>(arena.used()));
}
ESP_TEST_EXPORT(arena);

// { bytes } -> reserves them, or throws ERR_OUT_OF_MEMORY; true when the block is 64-byte aligned
Napi::Value test_aligned_buffer(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  AlignedBuffer buffer;
  throw_if_error(info.Env(), buffer.reserve(static_cast<size_t>(number_of(o, "bytes"))));
  return Napi::Boolean::New(info.Env(), reinterpret_cast<uintptr_t>(buffer.as<char>()) % 64 == 0);
}
ESP_TEST_EXPORT(aligned_buffer);

// { seed, out: BigUint64Array, count, uniforms: Float64Array or absent (drawn after `out`) }
Napi::Value test_rng(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  Rng rng(static_cast<uint64_t>(int_of(o, "seed")));
  const int64_t count = int_of(o, "count");
  for (int64_t i = 0; i < count; ++i) data_of<uint64_t>(o, "out")[i] = rng.next();
  if (double* uniforms = data_of<double>(o, "uniforms"))
    for (int64_t i = 0; i < count; ++i) uniforms[i] = rng.uniform();
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(rng);

// Whether this build runs the AVX-512 kernels through SIMDe.
Napi::Value test_simulated_avx512(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), cpu_features().simulated);
}
ESP_TEST_EXPORT(simulated_avx512);

// Throws what is wrong with ESPALIER_ISA.
Napi::Value test_isa_environment(const Napi::CallbackInfo& info) {
  throw_if_error(info.Env(), isa_environment_status());
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(isa_environment);

#if defined(__SANITIZE_ADDRESS__)
// Wrong on purpose, in sanitized builds only: npm run test:sanitize checks that both are reported.
Napi::Value test_read_out_of_bounds(const Napi::CallbackInfo& info) {
  std::vector<char> bytes(16);
  const volatile char* data = bytes.data();
  return Napi::Number::New(info.Env(), data[bytes.size()]);
}
ESP_TEST_EXPORT(read_out_of_bounds);

Napi::Value test_overflow_integer(const Napi::CallbackInfo& info) {
  volatile int32_t value = 0x7fffffff;
  return Napi::Number::New(info.Env(), value + 1);
}
ESP_TEST_EXPORT(overflow_integer);
#endif

}  // namespace
}  // namespace espalier::testing
