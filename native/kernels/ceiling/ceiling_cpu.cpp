// Runs the loops of the ISA asked for and keeps the best burst.
// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "core/aligned_buffer.h"
#include "core/thread_pool.h"
#include "kernels/ceiling/ceiling.h"
#include "kernels/ceiling/ceiling_loops.h"

namespace espalier {
namespace {

constexpr size_t kPiece = size_t{1} << 20;  // bytes per task of the memory loops
constexpr int64_t kTasksPerThread = 16;     // of the compute loops
constexpr double kBurstSeconds = 0.02;      // of the compute loops

const CeilingLoops& loops_of(Isa isa) {
#if defined(__x86_64__)
#if defined(ESPALIER_SIMULATED_AVX512)  // such a CPU has no AVX-512 to measure
  static const CeilingLoops* const kTable[kIsaCount] = {&ceiling_ref, &ceiling_avx2, &ceiling_avx2, &ceiling_avx2};
#else
  static const CeilingLoops* const kTable[kIsaCount] = {&ceiling_ref, &ceiling_avx2, &ceiling_avx512,
                                                        &ceiling_avx512_bf16};
#endif
  return *kTable[static_cast<int>(isa)];
#else
  return ceiling_ref;
#endif
}

// Keeps what the loops compute observable.
std::atomic<float> g_sink{0};

// Shortest time of `burst`, called at least `times` times and for about `seconds`.
template <typename F>
double shortest(int times, double seconds, F&& burst) {
  using Clock = std::chrono::steady_clock;
  double best = 1e30, spent = 0;
  for (int i = 0; i < times || spent < seconds; ++i) {
    const Clock::time_point start = Clock::now();
    burst();
    const double took = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, took);
    spent += took;
  }
  return best;
}

// Best burst of `burst_seconds` each over about `seconds`, at least `bursts` of them.
double compute_gops(const CpuContext& context, const ComputeLoop& loop, int bursts, double burst_seconds,
                    double seconds) {
  if (loop.run == nullptr) return 0;
  const int64_t tasks = kTasksPerThread * context.pool->threads();
  int64_t rounds = 1024;
  const auto burst = [&] {
    context.pool->run(tasks, [&](int64_t, int) {
      float sink = 0;
      loop.run(rounds, &sink);
      g_sink.store(sink, std::memory_order_relaxed);
    });
  };
  const double trial = shortest(3, 0, burst);
  rounds = std::max<int64_t>(1024, static_cast<int64_t>(1024 * burst_seconds / trial));
  return loop.ops_per_round * rounds * tasks / shortest(bursts, seconds, burst) * 1e-9;
}

size_t default_buffer_bytes() {
  const size_t most = size_t{2} << 30;
  const long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  const size_t available = pages > 0 && page > 0 ? static_cast<size_t>(pages) * page : most;
  return std::min(most, available / 4);
}

Status measure_memory(const CpuContext& context, double seconds, size_t bytes, Ceilings* out) {
  bytes = std::max(bytes / (2 * kPiece), size_t{1}) * 2 * kPiece;
  AlignedBuffer buffer;
  ESP_RETURN_IF_ERROR(buffer.reserve(bytes));
  char* data = buffer.as<char>();
  const int64_t pieces = static_cast<int64_t>(bytes / kPiece);
  context.pool->run(pieces, [&](int64_t piece, int) { std::memset(data + piece * kPiece, 1, kPiece); });
  const CeilingLoops& loops = loops_of(context.isa);
  const double read = shortest(3, seconds, [&] {
    context.pool->run(pieces, [&](int64_t piece, int) {
      float sink = 0;
      loops.read(data + piece * kPiece, kPiece, &sink);
      g_sink.store(sink, std::memory_order_relaxed);
    });
  });
  const double copy = shortest(3, seconds, [&] {
    context.pool->run(pieces / 2, [&](int64_t piece, int) {
      loops.copy(data + piece * kPiece, data + (pieces / 2 + piece) * kPiece, kPiece);
    });
  });
  out->read_gbps = bytes / read * 1e-9;
  out->copy_gbps = bytes / copy * 1e-9;
  out->buffer_mb = bytes * 1e-6;
  return Status::ok();
}

}  // namespace

Status measure_ceilings(const CpuContext& context, double seconds, size_t buffer_bytes, Ceilings* out) {
  if (!(seconds >= 0 && seconds <= 600))
    return Status("ERR_ARGUMENT", format_text("seconds: expected 0 to 600, found %g", seconds));
  const double share = seconds / 5;
  const CeilingLoops& loops = loops_of(context.isa);
  const auto best = [&](const ComputeLoop& loop) { return compute_gops(context, loop, 3, kBurstSeconds, share); };
  out->f32_gflops = best(loops.f32);
  out->bf16_gflops = std::max(best(loops.bf16), out->f32_gflops);
  out->int8_gops = std::max(best(loops.int8[0]), best(loops.int8[1]));
  return measure_memory(context, share, buffer_bytes > 0 ? buffer_bytes : default_buffer_bytes(), out);
}

double ceiling_burst(const CpuContext& context, ComputeCeiling which, double seconds) {
  const CeilingLoops& loops = loops_of(context.isa);
  const auto burst = [&](const ComputeLoop& loop) { return compute_gops(context, loop, 1, seconds, 0); };
  switch (which) {
    case ComputeCeiling::kF32:
      return burst(loops.f32);
    case ComputeCeiling::kBf16:
      return std::max(burst(loops.bf16), burst(loops.f32));
    case ComputeCeiling::kInt8:
      return std::max(burst(loops.int8[0]), burst(loops.int8[1]));
  }
  return 0;
}

}  // namespace espalier
