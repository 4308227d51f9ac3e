// Scheduler: continuous batching. Each step takes one token of every generating sequence and fills the rest of the
// step's budget with prompt chunks, first come first served. Single-threaded; the engine's thread drives it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "core/aligned_buffer.h"
#include "engine/kv_pages.h"
#include "engine/request.h"
#include "model/decoder.h"

namespace espalier {

struct SchedulerLimits {
  int64_t context_tokens;  // prompt and generated tokens of one sequence
  int64_t max_sequences;   // generating or prefilling together
  int64_t prefill_chunk;   // tokens of a step
};

class Scheduler {
 public:
  using Emit = std::function<void(Event&&)>;
  using Clock = std::chrono::steady_clock;

  Scheduler(Decoder* decoder, const CpuContext& sampling, const KvCachePool& pool, int64_t total_pages,
            SchedulerLimits limits, Emit emit);

  void add(Request&& request, Clock::time_point handed_in);
  void cancel(uint64_t id);
  bool idle() const { return waiting_.empty() && active_.empty(); }
  // One step of the model. A failed step fails the sequences that were in it.
  void step(const std::atomic<bool>* stop);
  // Ends everything as cancelled.
  void cancel_all();
  // Ends everything that is active with an error.
  void fail_all(const Status& status);

  int64_t active() const { return static_cast<int64_t>(active_.size()); }
  int64_t waiting() const { return static_cast<int64_t>(waiting_.size()); }
  const KvPages& pages() const { return pages_; }

 private:
  struct Sequence {
    Request request;
    Clock::time_point handed_in;
    std::vector<int32_t> tokens;  // prompt, then generated
    std::vector<int32_t> pages;
    int64_t computed = 0;   // tokens whose keys and values are in the cache
    int64_t published = 0;  // of those, in pages that others may reuse
    int64_t limit = 0;      // tokens.size() may not pass this
    int64_t reused = 0;
    uint64_t chain = KvPages::kNoChain;
    Rng rng;
    std::vector<float> logits;   // kLogits
    std::vector<double> scores;  // kScore
    bool finished = false;

    int64_t prompt_size() const { return static_cast<int64_t>(request.prompt.size()); }
    int64_t remaining() const { return static_cast<int64_t>(tokens.size()) - computed; }
  };
  // A sequence's part in the current step; rows are indices into the flattened step.
  struct Part {
    Sequence* sequence;
    int64_t count;
    int64_t first_row;
  };

  void admit();
  bool try_admit(Request& request, Clock::time_point handed_in);
  void compose();
  Status take_outputs(const Part& part);
  Status sample_next(Sequence& sequence, float* logits);
  Status collect_rows(const Part& part);
  Status rows_logits(const int64_t* rows, int64_t count, float** out);
  bool take_pages(Sequence& sequence, const Request& request, int64_t reusable, int64_t limit);
  void publish_pages(Sequence& sequence);
  void publish_rest(const Sequence& sequence);
  void finish(Sequence& sequence, FinishReason reason);
  void fail(Sequence& sequence, const Status& status);
  void remove_finished();
  Event event_of(const Sequence& sequence, EventKind kind) const;
  int64_t rope_length(const Sequence& sequence) const;

  Decoder* decoder_;
  CpuContext sampling_;
  KvCachePool pool_;
  KvPages pages_;
  SchedulerLimits limits_;
  Emit emit_;

  struct Waiting {
    Request request;
    Clock::time_point handed_in;
  };
  std::deque<Waiting> waiting_;
  std::vector<std::unique_ptr<Sequence>> active_;
  std::vector<Part> parts_;
  std::vector<StepSequence> step_;
  AlignedBuffer logits_;
  AlignedBuffer sample_workspace_;
};

}  // namespace espalier
