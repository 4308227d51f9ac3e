// SPDX-License-Identifier: Apache-2.0
#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "kernels/softmax/softmax.h"

namespace espalier {
namespace {

// Rows of logits held at once when a request wants many (64 x 49152 x 4 B = 12 MB).
constexpr int64_t kLogitRows = 64;

}  // namespace

Scheduler::Scheduler(Decoder* decoder, const CpuContext& sampling, const KvCachePool& pool, int64_t total_pages,
                     SchedulerLimits limits, Emit emit)
    : decoder_(decoder),
      sampling_(sampling),
      pool_(pool),
      pages_(total_pages),
      limits_(limits),
      emit_(std::move(emit)) {}

Event Scheduler::event_of(const Sequence& sequence, EventKind kind) const {
  Event event;
  event.request = sequence.request.id;
  event.kind = kind;
  event.at_ms = std::chrono::duration<double, std::milli>(Clock::now() - sequence.handed_in).count();
  event.reused_tokens = sequence.reused;
  return event;
}

void Scheduler::add(Request&& request, Clock::time_point handed_in) {
  waiting_.push_back({std::move(request), handed_in});
}

void Scheduler::cancel(uint64_t id) {
  for (auto waiting = waiting_.begin(); waiting != waiting_.end(); ++waiting) {
    if (waiting->request.id != id) continue;
    Sequence sequence;
    sequence.request.id = id;
    sequence.handed_in = waiting->handed_in;
    finish(sequence, FinishReason::kCancelled);
    waiting_.erase(waiting);
    return;
  }
  for (auto& sequence : active_)
    if (sequence->request.id == id) finish(*sequence, FinishReason::kCancelled);
  remove_finished();
}

void Scheduler::cancel_all() {
  while (!waiting_.empty()) cancel(waiting_.front().request.id);
  for (auto& sequence : active_) finish(*sequence, FinishReason::kCancelled);
  remove_finished();
}

void Scheduler::fail_all(const Status& status) {
  for (auto& sequence : active_) fail(*sequence, status);
  remove_finished();
}

namespace {

// Prompt tokens at the beginning whose rows nobody asks for. The last prompt token is always computed: its logits are
// wanted, or those before it.
int64_t rowless_tokens(const Request& request) {
  if (request.kind == RequestKind::kScore) return request.score_from - 1;
  return request.all_logits ? 0 : static_cast<int64_t>(request.prompt.size()) - 1;
}

}  // namespace

bool Scheduler::try_admit(Request& request, Clock::time_point handed_in) {
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  const bool generates = request.kind == RequestKind::kGenerate;
  const int64_t limit = generates ? std::min(prompt + request.max_tokens, limits_.context_tokens) : prompt;
  auto sequence = std::make_unique<Sequence>();
  // Keys of a sequence under length-dependent rotary scaling fit no other sequence.
  const bool shares = request.reuse_prefix && !decoder_->rope().depends_on_length(limit);
  if (!take_pages(*sequence, request, shares ? rowless_tokens(request) : 0, limit)) return false;
  sequence->limit = limit;
  sequence->handed_in = handed_in;
  sequence->tokens = request.prompt;
  sequence->rng = Rng(request.seed);
  sequence->request = std::move(request);
  sequence->request.reuse_prefix = shares;
  active_.push_back(std::move(sequence));
  return true;
}

// Pages for `limit` tokens, with what the cache has of the prompt's first `reusable`. False: there are not enough.
bool Scheduler::take_pages(Sequence& sequence, const Request& request, int64_t reusable, int64_t limit) {
  sequence.chain = pages_.match_prefix(request.prompt.data(), reusable, &sequence.pages);
  const int64_t held = static_cast<int64_t>(sequence.pages.size());
  const int64_t found = held * kKvPageTokens;
  const KvPages::CommonPage common =
      pages_.find_common(sequence.chain, request.prompt.data() + found, reusable - found);
  if (common.page >= 0) pages_.hold(common.page);  // or its room might be what is allocated
  const bool enough = pages_.allocate(KvPages::pages_for(limit) - held, &sequence.pages);
  const bool copied = enough && common.page >= 0 &&
                      decoder_->copy_page(pool_, common.page, sequence.pages[static_cast<size_t>(held)]).is_ok();
  if (common.page >= 0) pages_.release({common.page});
  if (!enough) {
    pages_.release(sequence.pages);
    return false;
  }
  sequence.published = found;
  sequence.computed = sequence.reused = sequence.published + (copied ? common.tokens : 0);
  return true;
}

void Scheduler::admit() {
  while (!waiting_.empty() && static_cast<int64_t>(active_.size()) < limits_.max_sequences) {
    Waiting& next = waiting_.front();
    if (!try_admit(next.request, next.handed_in)) return;  // first come first served: wait for pages
    waiting_.pop_front();
  }
}

int64_t Scheduler::rope_length(const Sequence& sequence) const {
  // A prompt is rotated for its whole length, however it is chunked; each generated token for the length it makes.
  return std::max(sequence.prompt_size(), static_cast<int64_t>(sequence.tokens.size()));
}

void Scheduler::compose() {
  parts_.clear();
  step_.clear();
  int64_t row = 0;
  int64_t budget = limits_.prefill_chunk;
  const auto take = [&](Sequence& sequence, int64_t count) {
    parts_.push_back({&sequence, count, row});
    step_.push_back({sequence.tokens.data() + sequence.computed, count, sequence.computed, rope_length(sequence),
                     sequence.pages.data()});
    row += count;
    budget -= count;
  };
  for (auto& sequence : active_)
    if (sequence->remaining() == 1) take(*sequence, 1);
  for (auto& sequence : active_)
    if (sequence->remaining() > 1 && budget > 0) take(*sequence, std::min(sequence->remaining(), budget));
}

void Scheduler::step(const std::atomic<bool>* stop) {
  admit();
  if (active_.empty()) return;
  compose();
  const Status status = decoder_->forward(step_, pool_, stop);
  if (status.code() == "ERR_CANCELLED") return;  // the engine is closing
  for (Part& part : parts_) {
    if (!status.is_ok()) {
      fail(*part.sequence, status);
      continue;
    }
    const Status outputs = take_outputs(part);
    if (!outputs.is_ok()) fail(*part.sequence, outputs);
  }
  remove_finished();
}

Status Scheduler::take_outputs(const Part& part) {
  Sequence& sequence = *part.sequence;
  sequence.computed += part.count;
  publish_pages(sequence);
  if (sequence.request.kind == RequestKind::kScore || sequence.request.all_logits) return collect_rows(part);
  if (sequence.remaining() > 0) return Status::ok();  // more of the prompt to come
  const int64_t row = part.first_row + part.count - 1;
  float* logits = nullptr;
  ESP_RETURN_IF_ERROR(rows_logits(&row, 1, &logits));
  if (sequence.request.kind == RequestKind::kGenerate) return sample_next(sequence, logits);
  Event event = event_of(sequence, EventKind::kLogits);
  event.logits.assign(logits, logits + decoder_->spec().vocab_size);
  emit_(std::move(event));
  finish(sequence, FinishReason::kStop);
  return Status::ok();
}

Status Scheduler::rows_logits(const int64_t* rows, int64_t count, float** out) {
  ESP_RETURN_IF_ERROR(logits_.reserve(static_cast<size_t>(count * decoder_->spec().vocab_size) * sizeof(float)));
  *out = logits_.as<float>();
  return decoder_->logits(rows, count, *out);
}

// Logits or scores of every token of the part that is asked for, some rows at a time.
Status Scheduler::collect_rows(const Part& part) {
  Sequence& sequence = *part.sequence;
  const int64_t vocab = decoder_->spec().vocab_size;
  const int64_t first_position = sequence.computed - part.count;
  const bool scores = sequence.request.kind == RequestKind::kScore;
  const int64_t skipped = scores ? std::max<int64_t>(0, sequence.request.score_from - 1 - first_position) : 0;
  for (int64_t begin = skipped; begin < part.count; begin += kLogitRows) {
    int64_t rows[kLogitRows];
    const int64_t count = std::min(kLogitRows, part.count - begin);
    for (int64_t i = 0; i < count; ++i) rows[i] = part.first_row + begin + i;
    float* logits = nullptr;
    ESP_RETURN_IF_ERROR(rows_logits(rows, count, &logits));
    if (!scores) {
      sequence.logits.insert(sequence.logits.end(), logits, logits + count * vocab);
      continue;
    }
    const int64_t predicted = std::min(count, sequence.prompt_size() - 1 - (first_position + begin));
    if (predicted <= 0) continue;  // the last prompt token predicts nothing that is known
    const size_t at = sequence.scores.size();
    sequence.scores.resize(at + static_cast<size_t>(predicted));
    const TokenLogprobArgs args{
        logits,    vocab, sequence.tokens.data() + first_position + begin + 1, sequence.scores.data() + at,
        predicted, vocab};
    ESP_RETURN_IF_ERROR(token_logprob(sampling_, args));
  }
  if (sequence.remaining() > 0) return Status::ok();
  Event event = event_of(sequence, scores ? EventKind::kScores : EventKind::kLogits);
  event.logits = std::move(sequence.logits);
  event.scores = std::move(sequence.scores);
  emit_(std::move(event));
  finish(sequence, FinishReason::kStop);
  return Status::ok();
}

Status Scheduler::sample_next(Sequence& sequence, float* logits) {
  const int64_t vocab = decoder_->spec().vocab_size;
  ESP_RETURN_IF_ERROR(sample_workspace_.reserve(sample_workspace_size(vocab)));
  const int32_t top = sequence.request.top_logprobs;
  std::vector<int32_t> top_ids(static_cast<size_t>(top));
  std::vector<double> top_logprobs(static_cast<size_t>(top));
  SampleArgs args{};
  args.logits = logits;
  args.vocab = vocab;
  args.options = sequence.request.sampling;
  args.seen = sequence.tokens.data();
  args.seen_count = static_cast<int64_t>(sequence.tokens.size());
  args.rng = &sequence.rng;
  args.top_ids = top_ids.data();
  args.top_logprobs = top_logprobs.data();
  args.top_count = top;
  args.workspace = sample_workspace_.as<void>();
  ESP_RETURN_IF_ERROR(sample(sampling_, args));

  Event event = event_of(sequence, EventKind::kToken);
  event.token = args.id;
  event.logprob = args.logprob;
  for (int32_t i = 0; i < top; ++i) event.top.push_back({top_ids[i], top_logprobs[i]});
  emit_(std::move(event));
  sequence.tokens.push_back(args.id);
  const std::vector<int32_t>& stops = sequence.request.stop_ids;
  const int64_t generated = static_cast<int64_t>(sequence.tokens.size()) - sequence.prompt_size();
  if (std::find(stops.begin(), stops.end(), args.id) != stops.end())
    finish(sequence, FinishReason::kStop);
  else if (generated >= sequence.request.max_tokens)
    finish(sequence, FinishReason::kLength);
  else if (static_cast<int64_t>(sequence.tokens.size()) >= sequence.limit)
    finish(sequence, FinishReason::kContext);
  return Status::ok();
}

void Scheduler::publish_pages(Sequence& sequence) {
  if (!sequence.request.reuse_prefix) return;
  for (; sequence.published + kKvPageTokens <= sequence.computed; sequence.published += kKvPageTokens)
    sequence.chain = pages_.publish(sequence.pages[sequence.published / kKvPageTokens], sequence.chain,
                                    sequence.tokens.data() + sequence.published);
}

// The page that is not full: nothing is written to it any more.
void Scheduler::publish_rest(const Sequence& sequence) {
  const int64_t count = sequence.computed - sequence.published;
  if (!sequence.request.reuse_prefix || count <= 0) return;
  pages_.publish_part(sequence.pages[static_cast<size_t>(sequence.published / kKvPageTokens)], sequence.chain,
                      sequence.tokens.data() + sequence.published, count);
}

void Scheduler::finish(Sequence& sequence, FinishReason reason) {
  if (sequence.finished) return;
  sequence.finished = true;
  Event event = event_of(sequence, EventKind::kDone);
  event.reason = reason;
  emit_(std::move(event));
}

void Scheduler::fail(Sequence& sequence, const Status& status) {
  if (sequence.finished) return;
  sequence.finished = true;
  Event event = event_of(sequence, EventKind::kError);
  event.error = status;
  emit_(std::move(event));
}

void Scheduler::remove_finished() {
  for (auto& sequence : active_) {
    if (!sequence->finished) continue;
    publish_rest(*sequence);
    pages_.release(sequence->pages);
  }
  std::erase_if(active_, [](const std::unique_ptr<Sequence>& sequence) { return sequence->finished; });
}

}  // namespace espalier
