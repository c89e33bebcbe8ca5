#include "hadal/infer/prefix_cache.h"

#include <algorithm>
#include <utility>

namespace hadal {
namespace {

int64_t n_common(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::ranges::mismatch(a, b).in1 - a.begin();
}

}  // namespace

PrefixCache::PrefixCache(LatentPages& pages, Reuse reuse, const PageFolder& folder)
    : pages_(pages), reuse_(reuse) {
  if (!folder.path.empty()) files_.emplace(folder, pages);
  pages_.on_lost([this](int32_t page) { forget(page); });
}

PrefixCache::~PrefixCache() {
  pages_.on_lost(nullptr);
  for (const auto& [page, block] : blocks_) pages_.keep(page, 0);
}

// What the block from row `begin` on stands for, as far as it is known.
std::span<const int32_t> PrefixCache::block_tokens(std::span<const int32_t> tokens,
                                                   int64_t begin) const {
  const size_t at = static_cast<size_t>(begin);
  const size_t most = static_cast<size_t>(kPageRows + pages_.n_mtp());
  return tokens.subspan(at, std::min(most, tokens.size() - at));
}

std::vector<int32_t>& PrefixCache::children_of(int32_t parent) {
  return parent == kRoot ? first_ : blocks_.at(parent).children;
}
const std::vector<int32_t>& PrefixCache::children_of(int32_t parent) const {
  return parent == kRoot ? first_ : blocks_.at(parent).children;
}

PrefixCache::Match PrefixCache::best_child(int32_t parent, std::span<const int32_t> tokens) const {
  Match best;
  for (const int32_t page : children_of(parent)) {
    const int64_t n = n_common(blocks_.at(page).tokens, tokens);
    if (n > best.n_tokens) best = {page, n};
  }
  return best;
}

BlockKey PrefixCache::key_of(int32_t parent, std::span<const int32_t> tokens) const {
  if (!files_ || !is_full(tokens)) return {};
  return PageFiles::key(parent == kRoot ? files_->root() : blocks_.at(parent).key, tokens);
}

std::optional<int32_t> PrefixCache::load(int32_t parent, std::span<const int32_t> tokens) {
  if (!files_ || !is_full(tokens)) return std::nullopt;
  const std::optional<int32_t> page = pages_.take();
  if (!page) return std::nullopt;
  const BlockKey key = key_of(parent, tokens);
  if (!files_->load(key, tokens, *page)) {
    pages_.give_back(*page);
    return std::nullopt;
  }
  insert(*page, {parent, {tokens.begin(), tokens.end()}, kPageRows, kPageRows, key, {}});
  return page;
}

// Every page of the chain is owned as soon as it is found: reading the next from its file may take a
// page that nobody owns.
PrefixCache::Hit PrefixCache::adopt(std::span<const int32_t> prompt, LatentSequence& sequence) {
  const std::span<const int32_t> wanted = prompt.first(prompt.size() - 1);
  std::vector<int32_t> pages;
  int64_t n_rows = 0, n_read = 0;
  for (int32_t parent = kRoot; n_rows < std::ssize(wanted);) {
    const std::span<const int32_t> tokens = block_tokens(wanted, n_rows);
    Match match = best_child(parent, tokens);
    const bool all_read = n_read == n_rows;
    if (!all_read && reuse_ == Reuse::kRead) break;
    if (match.n_tokens < std::ssize(tokens)) {
      if (const auto loaded = load(parent, tokens)) {
        pages.push_back(*loaded);
        parent = *loaded;
        n_rows += kPageRows;
        if (all_read) n_read = n_rows;
        continue;
      }
      match = best_child(parent, tokens);  // taking a page may have cost the one it named
    }
    if (match.page == kRoot) break;
    const Block& block = blocks_.at(match.page);
    const int64_t usable = std::min(reuse_ == Reuse::kRead ? block.n_read : block.n_rows,
                                    match.n_tokens - pages_.n_mtp());
    if (usable <= 0) break;
    pages_.share(match.page);
    pages.push_back(match.page);
    if (all_read) n_read += std::min(block.n_read, usable);
    n_rows += usable;
    if (usable < kPageRows) break;
    parent = match.page;
  }
  sequence.adopt(std::move(pages), n_rows);
  return {n_rows, n_read};
}

void PrefixCache::store(std::span<const int32_t> tokens, int64_t n_read,
                        const LatentSequence& sequence) {
  const std::span<const int32_t> known =
      tokens.first(static_cast<size_t>(std::min(sequence.length(), std::ssize(tokens))));
  const int64_t n_rows = sequence.shortest();
  int32_t parent = kRoot;
  for (int64_t begin = 0; begin < n_rows; begin += kPageRows) {
    const std::span<const int32_t> own = block_tokens(known, begin);
    const int64_t rows = std::min(n_rows - begin, kPageRows),
                  read = std::clamp<int64_t>(n_read - begin, 0, rows);
    const Match match = best_child(parent, own);
    const bool is_known = match.n_tokens == std::ssize(own) &&
                          blocks_.at(match.page).n_rows >= rows &&
                          blocks_.at(match.page).n_read >= read;
    const int32_t page = sequence.page_ids()[static_cast<size_t>(begin / kPageRows)];
    if (!is_known) {
      const BlockKey key = key_of(parent, own);
      insert(page, {parent, {own.begin(), own.end()}, rows, read, key, {}});
      if (files_ && is_full(own) && read == kPageRows) files_->save(key, own, page);
    }
    parent = is_known ? match.page : page;
    if (!is_full(own)) return;  // nothing can follow
  }
}

void PrefixCache::insert(int32_t page, Block block) {
  const auto is_beginning = [&](int32_t child) {
    const Block& other = blocks_.at(child);
    return n_common(other.tokens, block.tokens) == std::ssize(other.tokens);
  };
  std::vector<int32_t> replaced;
  for (const int32_t child : children_of(block.parent)) {
    if (is_beginning(child)) replaced.push_back(child);
  }
  for (const int32_t child : replaced) {
    std::erase(children_of(block.parent), child);
    Block old = std::move(blocks_.extract(child).mapped());
    for (const int32_t grandchild : old.children) {  // of a full block: the same tokens
      blocks_.at(grandchild).parent = page;
      block.children.push_back(grandchild);
    }
    if (child != page) pages_.keep(child, 0);
  }
  forget(page);  // what it stood for, were it something else
  children_of(block.parent).push_back(page);
  pages_.keep(page, block.n_rows);
  blocks_.emplace(page, std::move(block));
}

void PrefixCache::forget(int32_t page) {
  const auto found = blocks_.find(page);
  if (found == blocks_.end()) return;
  const Block block = std::move(found->second);
  blocks_.erase(found);
  if (block.parent == kRoot || blocks_.contains(block.parent)) {
    std::erase(children_of(block.parent), page);
  }
  for (const int32_t child : block.children) forget(child);
  pages_.keep(page, 0);
}

}  // namespace hadal
