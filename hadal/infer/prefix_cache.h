// infer/prefix_cache.h: what is cached of earlier requests, found by the tokens that it stands for.
//
// A row of the latent cache depends on its token and those before it, and on nothing else. So a request
// that begins like an earlier one takes over that one's pages: a system prompt is read once, and each
// turn of a conversation reads only what is new. Full pages are shared; the page in which two texts
// part is copied when the newcomer writes to it (LatentSequence::reserve).
//
// Kept are blocks, each a page and the up to 64 tokens that it stands for, in a tree: a block's parent
// stands for the tokens before it. With MTP a block also knows as many tokens behind them as there are
// modules, since a module's row depends on them. Tokens are compared, not hashed, so a hit is never an
// accident.
// Pages that only the tree holds are the pool's reserve: they stay until it has no other
// (LatentPages::keep).
//
// Two kinds of rows come about: those that prefill reads have the same bits however a prompt is cut
// into chunks, so a hit on them is what reading again would give, to the last bit. Those of generated
// tokens come from decoding and differ from what prefill would make of them by rounding.
#pragma once

#include <map>
#include <span>

#include "hadal/infer/page_files.h"

namespace hadal {

enum class Reuse {
  kAll,   // a conversation reads none of its answers again
  kRead,  // rows of prompts alone: a request gets the bits that it would get without a cache
};

// How an engine keeps its cache.
struct CacheOptions {
  LatentForm form = LatentForm::kBF16;
  Reuse reuse = Reuse::kAll;
  PageFolder folder = {};  // where pages outlive the engine, if anywhere
};

class PrefixCache {
 public:
  // `pages` outlive it. With a folder, full pages that prefill made are written there, and read where
  // memory has not got them.
  explicit PrefixCache(LatentPages& pages, Reuse reuse = Reuse::kAll,
                       const PageFolder& folder = {});
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  struct Hit {
    int64_t n_rows = 0;  // that the sequence has now
    int64_t n_read = 0;  // of these, made by prefill behind such rows alone
  };
  // Lets an empty sequence begin with the longest known beginning of `prompt`. At least the last token is
  // left to be run again, since its logits are wanted, and with MTP as many more as there are modules: a
  // module's row needs the main state of its position.
  Hit adopt(std::span<const int32_t> prompt, LatentSequence& sequence);

  // Keeps what `sequence` has cached of `tokens`; n_read as in Hit. The sequence may go on: its pages
  // stay its own.
  void store(std::span<const int32_t> tokens, int64_t n_read, const LatentSequence& sequence);

  Reuse reuse() const { return reuse_; }
  int64_t n_blocks() const { return std::ssize(blocks_); }

 private:
  struct Block {
    int32_t parent;
    std::vector<int32_t> tokens;    // of its rows, and those behind that modules look at
    int64_t n_rows, n_read;         // of all layers; of these, made by prefill
    BlockKey key;                   // of a full one, where there are files
    std::vector<int32_t> children;  // pages whose block follows; none unless this one is full
  };
  std::span<const int32_t> block_tokens(std::span<const int32_t> tokens, int64_t begin) const;
  static constexpr int32_t kRoot = -1;

  struct Match {
    int32_t page = kRoot;
    int64_t n_tokens = 0;
  };
  // The child that has most of `tokens` at its beginning.
  Match best_child(int32_t parent, std::span<const int32_t> tokens) const;
  bool is_full(std::span<const int32_t> block) const {
    return std::ssize(block) == kPageRows + pages_.n_mtp();
  }
  BlockKey key_of(int32_t parent, std::span<const int32_t> tokens) const;
  // Reads the block from its file into a page of the pool, and becomes its owner.
  std::optional<int32_t> load(int32_t parent, std::span<const int32_t> tokens);
  // Puts a block in place of a child that stands for a beginning of the same tokens, if there is one.
  void insert(int32_t page, Block block);
  void forget(int32_t page);  // with all that follow it
  std::vector<int32_t>& children_of(int32_t parent);
  const std::vector<int32_t>& children_of(int32_t parent) const;

  LatentPages& pages_;
  Reuse reuse_;
  std::optional<PageFiles> files_;
  std::map<int32_t, Block> blocks_;  // by page
  std::vector<int32_t> first_;       // children of the root
};

}  // namespace hadal
