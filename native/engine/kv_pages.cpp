// SPDX-License-Identifier: Apache-2.0
#include "engine/kv_pages.h"

#include <algorithm>
#include <iterator>

namespace espalier {

uint64_t KvPages::key_of(uint64_t parent, const int32_t* tokens) {
  uint64_t hash = parent * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull;
  for (int64_t i = 0; i < kKvPageTokens; ++i) {
    hash ^= static_cast<uint32_t>(tokens[i]);
    hash *= 0x100000001b3ull;
    hash ^= hash >> 29;
  }
  return hash;
}

int32_t KvPages::find(uint64_t parent, const int32_t* tokens) const {
  const auto found = by_content_.find(key_of(parent, tokens));
  if (found == by_content_.end()) return -1;
  const Page& page = pages_[found->second];
  // The key is only a hash: the content decides.
  const bool same = page.parent == parent && std::equal(page.tokens.begin(), page.tokens.end(), tokens);
  return same ? found->second : -1;
}

uint64_t KvPages::match_prefix(const int32_t* tokens, int64_t count, std::vector<int32_t>* pages) {
  uint64_t chain = kNoChain;
  for (int64_t begin = 0; begin + kKvPageTokens <= count; begin += kKvPageTokens) {
    const int32_t id = find(chain, tokens + begin);
    if (id < 0) break;
    hold(id);
    pages->push_back(id);
    chain = pages_[id].content;
  }
  return chain;
}

KvPages::CommonPage KvPages::find_common(uint64_t chain, const int32_t* tokens, int64_t count) const {
  CommonPage best;
  const auto [begin, end] = by_parent_.equal_range(chain);
  for (auto child = begin; child != end; ++child) {
    const Page& page = pages_[child->second];
    const int64_t limit = std::min(page.filled, count);
    const auto parting = std::mismatch(tokens, tokens + limit, page.tokens.begin());
    const int64_t common = parting.first - tokens;
    if (common > best.tokens) best = {child->second, common};
  }
  return best.tokens >= kLeastCommonTokens ? best : CommonPage{};
}

void KvPages::hold(int32_t id) {
  Page& page = pages_[id];
  if (page.references++ == 0) idle_.erase(page.idle);
}

bool KvPages::allocate(int64_t count, std::vector<int32_t>* pages) {
  if (count > available()) return false;
  for (int64_t i = 0; i < count; ++i) {
    if (free_.empty()) unpublish(idle_.front());
    const int32_t id = free_.back();
    free_.pop_back();
    pages_[id].references = 1;
    pages->push_back(id);
  }
  return true;
}

void KvPages::unpublish(int32_t id) {
  Page& page = pages_[id];
  if (page.content != kNoChain) by_content_.erase(key_of(page.parent, page.tokens.data()));
  const auto [begin, end] = by_parent_.equal_range(page.parent);
  by_parent_.erase(std::find_if(begin, end, [id](const auto& child) { return child.second == id; }));
  page.content = kNoChain;
  page.filled = 0;
  idle_.erase(page.idle);
  free_.push_back(id);
}

uint64_t KvPages::publish(int32_t id, uint64_t chain, const int32_t* tokens) {
  const int32_t twin = find(chain, tokens);
  if (twin >= 0) return pages_[twin].content;  // another sequence computed the same; this page stays private
  if (by_content_.count(key_of(chain, tokens)) != 0) return next_content_++;  // hash collision: chain goes uncached
  enter(id, chain, tokens, kKvPageTokens);
  by_content_[key_of(chain, tokens)] = id;
  return pages_[id].content = next_content_++;
}

void KvPages::publish_part(int32_t id, uint64_t chain, const int32_t* tokens, int64_t count) {
  if (count >= kLeastCommonTokens && find_common(chain, tokens, count).tokens < count) enter(id, chain, tokens, count);
}

void KvPages::enter(int32_t id, uint64_t chain, const int32_t* tokens, int64_t count) {
  Page& page = pages_[id];
  page.parent = chain;
  page.filled = count;
  std::copy(tokens, tokens + count, page.tokens.begin());
  by_parent_.emplace(chain, id);
}

void KvPages::release(const std::vector<int32_t>& pages) {
  for (auto id = pages.rbegin(); id != pages.rend(); ++id) {  // the end of a prompt is given up before its beginning
    Page& page = pages_[*id];
    if (--page.references > 0) continue;
    if (page.filled == 0)
      free_.push_back(*id);
    else
      page.idle = idle_.insert(idle_.end(), *id);
  }
}

}  // namespace espalier
