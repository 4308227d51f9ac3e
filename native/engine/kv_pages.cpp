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
    Page& page = pages_[id];
    if (page.references++ == 0) idle_.erase(page.idle);
    pages->push_back(id);
    chain = page.content;
  }
  return chain;
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
  by_content_.erase(key_of(page.parent, page.tokens.data()));
  page.content = kNoChain;
  idle_.erase(page.idle);
  free_.push_back(id);
}

uint64_t KvPages::publish(int32_t id, uint64_t chain, const int32_t* tokens) {
  const int32_t twin = find(chain, tokens);
  if (twin >= 0) return pages_[twin].content;  // another sequence computed the same; this page stays private
  if (by_content_.count(key_of(chain, tokens)) != 0) return next_content_++;  // hash collision: chain goes uncached
  Page& page = pages_[id];
  page.parent = chain;
  page.content = next_content_++;
  std::copy(tokens, tokens + kKvPageTokens, page.tokens.begin());
  by_content_[key_of(chain, tokens)] = id;
  return page.content;
}

void KvPages::release(const std::vector<int32_t>& pages) {
  for (auto id = pages.rbegin(); id != pages.rend(); ++id) {  // the end of a prompt is given up before its beginning
    Page& page = pages_[*id];
    if (--page.references > 0) continue;
    if (page.content == kNoChain)
      free_.push_back(*id);
    else
      page.idle = idle_.insert(idle_.end(), *id);
  }
}

}  // namespace espalier
