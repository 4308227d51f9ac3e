// KvPages: the paged KV cache's bookkeeping. Pages are counted. Pages of computed tokens are kept for reuse by later
// prompts with the same beginning: full ones are shared, of the page where prompts part the common tokens are copied.
// The least recently used are given up first. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

#include "kernels/kv_append/kv_append.h"

namespace espalier {

class KvPages {
 public:
  // Fewer are computed as fast as a page is copied.
  static constexpr int64_t kLeastCommonTokens = 4;

  explicit KvPages(int64_t total) : pages_(static_cast<size_t>(total)) {
    for (int64_t page = total; page-- > 0;) free_.push_back(static_cast<int32_t>(page));
  }

  static int64_t pages_for(int64_t tokens) { return (tokens + kKvPageTokens - 1) / kKvPageTokens; }

  int64_t total() const { return static_cast<int64_t>(pages_.size()); }
  // Pages that could be handed out now: free ones and unreferenced cached ones.
  int64_t available() const { return static_cast<int64_t>(free_.size() + idle_.size()); }
  // Full pages that can be shared.
  int64_t cached() const { return static_cast<int64_t>(by_content_.size()); }

  // A chain names the content of a run of pages from a sequence's start; kNoChain is the empty run.
  static constexpr uint64_t kNoChain = 0;

  // Appends to `pages` the cached pages that hold the beginning of tokens[0, count), referenced; returns their chain.
  uint64_t match_prefix(const int32_t* tokens, int64_t count, std::vector<int32_t>* pages);

  // The page after `chain` whose tokens begin as tokens[0, count) do for longest, and for how long; -1 when none does
  // for kLeastCommonTokens.
  struct CommonPage {
    int32_t page = -1;
    int64_t tokens = 0;
  };
  CommonPage find_common(uint64_t chain, const int32_t* tokens, int64_t count) const;

  // Appends `count` fresh pages, referenced. False (and nothing taken) when fewer are available.
  bool allocate(int64_t count, std::vector<int32_t>* pages);

  // Declares that `page` holds the keys and values of tokens[0, kKvPageTokens) after `chain`; returns the longer chain.
  uint64_t publish(int32_t page, uint64_t chain, const int32_t* tokens);

  // Declares that `page` holds tokens[0, count), fewer than a page, after `chain`, and will not be written any more.
  void publish_part(int32_t page, uint64_t chain, const int32_t* tokens, int64_t count);

  // One more reference to a published page, so that it is not given up.
  void hold(int32_t page);

  // Gives references back; published pages stay cached until their room is needed.
  void release(const std::vector<int32_t>& pages);

 private:
  struct Page {
    int32_t references = 0;
    uint64_t parent = kNoChain;   // chain before this page
    uint64_t content = kNoChain;  // chain including it; kNoChain: it is not full, or not published
    int64_t filled = 0;           // tokens published
    std::array<int32_t, kKvPageTokens> tokens{};
    std::list<int32_t>::iterator idle;  // valid when published and unreferenced
  };
  static uint64_t key_of(uint64_t parent, const int32_t* tokens);
  int32_t find(uint64_t parent, const int32_t* tokens) const;  // -1 when not cached
  void unpublish(int32_t page);
  void enter(int32_t page, uint64_t chain, const int32_t* tokens, int64_t count);

  std::vector<Page> pages_;
  std::vector<int32_t> free_;
  std::list<int32_t> idle_;                               // least recently used first
  std::unordered_map<uint64_t, int32_t> by_content_;      // key_of(parent, tokens) -> full page
  std::unordered_multimap<uint64_t, int32_t> by_parent_;  // parent -> published page
  uint64_t next_content_ = 1;
};

}  // namespace espalier
