// infer/latent_pages.h: what sequences remember of their past tokens.
//
// One row per token and layer, [c_kv (normed latent, d_c) | k_rope (rotated key, d_r)]: 576 values
// in DeepSeek-V3 where full keys and values would be 40960. They are stored as F32, BF16 or FP8
// (kernels/latent_layout.h), and every attention reads them as they are stored: what prefill sees of a
// row is what decoding sees later.
//
// Rows lie in pages of kPageRows = 64 tokens. A page holds them for every layer at once (MTP modules
// included), so a sequence has one list of page ids and a length per layer. Sequences that begin alike
// share pages (infer/prefix_cache.h); only a page of its own is written to. Page p of layer l is
// pages.layer(l).rows(p, 0, 64).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <set>
#include <utility>
#include <vector>

#include "hadal/model/config.h"
#include "hadal/ops/latent_attention.h"
#include "hadal/tensor/context.h"
#include "hadal/tensor/reserved_memory.h"

namespace hadal {

// The pool. Addresses are reserved at the start; memory arrives when a page is first written, and
// stays for the page's next owner. Ids are given out lowest first: one sequence alone lies in
// adjacent pages, that is in plain consecutive rows.
//
// A page may have several owners, and may be kept: it then stays as it is when the last owner gives it
// back, until take() has no other page. Of the kept pages without an owner the one given back first
// goes first.
//
// Not thread-safe: a pool and its sequences belong to one thread at a time.
class LatentPages {
 public:
  // `n_mtp`: how many of the MTP modules have rows too, behind the main layers.
  LatentPages(const ModelConfig& config, int64_t n_pages, int64_t n_mtp, LatentForm form,
              Memory& memory = host_memory());

  int64_t n_pages() const { return n_pages_; }
  // How many take() has: those that nobody uses, kept or not.
  int64_t n_free() const {
    return n_pages_ - first_new_ + std::ssize(given_back_) + std::ssize(idle_);
  }
  int64_t n_main() const { return n_main_; }
  int64_t n_layers() const { return std::ssize(layers_); }
  int64_t n_mtp() const { return n_layers() - n_main_; }

  const LatentLayout& layout() const { return layout_; }
  LatentPagesView layer(int64_t index) const;
  std::optional<int32_t>
  take();                    // the lowest that is not kept, else a kept one; none: all are owned
  void share(int32_t page);  // one owner more; of a kept page perhaps the first
  void give_back(int32_t page);  // REQUIRES an owner
  // Keeps the first n_rows rows of every layer; 0: keeps the page no longer.
  void keep(int32_t page, int64_t n_rows);
  void on_lost(std::function<void(int32_t page)> lost) { lost_ = std::move(lost); }  // to take()
  // Whether rows from `row` on may be written by one owner without anybody else noticing.
  bool is_own(int32_t page, int64_t row) const {
    return at(page).n_owners == 1 && at(page).n_kept <= row;
  }
  // Keeps no longer what has one owner, who may then write to it. False: it has several.
  bool reclaim(int32_t page);
  void copy(int32_t to, int32_t from) const;  // all rows of all layers
  // The same rows, layer behind layer, to and from the host.
  std::vector<std::byte> bytes_of(int32_t page) const;
  void read_from(std::span<const std::byte> bytes, int32_t page) const;

  static int64_t bytes_per_token(const ModelConfig& config, int64_t n_mtp, LatentForm form);

 private:
  Memory& memory_;
  int64_t n_pages_, n_main_;
  LatentLayout layout_;
  struct Page {
    int32_t n_owners = 0;
    int64_t n_kept = 0;  // rows
    uint64_t stamp = 0;  // when it became idle
  };
  Page& at(int32_t page) { return use_[static_cast<size_t>(page)]; }
  const Page& at(int32_t page) const { return use_[static_cast<size_t>(page)]; }
  void rest(int32_t page);  // nobody owns it

  std::vector<ReservedMemory> layers_;
  std::vector<Page> use_;
  std::set<std::pair<uint64_t, int32_t>> idle_;  // kept, without an owner: (stamp, page)
  uint64_t clock_ = 0;
  std::function<void(int32_t)> lost_;
  int32_t first_new_ = 0;  // this id and those above were never taken
  std::priority_queue<int32_t, std::vector<int32_t>, std::greater<>> given_back_;
};

// The rows of one sequence. Layers are counted as in DecoderLayer::index: the main model's, then the
// MTP modules', of which number k lags k rows behind, since its row i needs token i+k. Pages go back
// when the sequence is cut or ends.
class LatentSequence {
 public:
  explicit LatentSequence(LatentPages& pages);  // which outlives the sequence
  ~LatentSequence();
  LatentSequence(const LatentSequence&) = delete;
  LatentSequence& operator=(const LatentSequence&) = delete;

  LatentPages& pages() const { return pages_; }
  int64_t length(int64_t layer) const { return lengths_[static_cast<size_t>(layer)]; }
  int64_t length() const { return lengths_.front(); }  // tokens the main model has seen
  int64_t shortest() const;                            // of all layers
  int64_t mtp_layer(int64_t module) const { return pages_.n_main() + module; }

  // Takes the pages that `n_rows` rows need, and makes those that will be written its own: a shared one
  // is copied. False when the pool has not so many: nothing is taken.
  bool reserve(int64_t n_rows);
  int64_t n_pages() const { return std::ssize(page_ids_); }
  std::span<const int32_t> page_ids() const { return page_ids_; }
  // Begins with rows that others have: the pages in order, of which it becomes an owner in the caller's
  // place; their first n_rows rows count, for every layer. REQUIRES an empty sequence without pages.
  void adopt(std::vector<int32_t> pages, int64_t n_rows);
  // Begins with rows of another pool: `pages` U8 [pages, bytes of a page], of each layer so many rows. False
  // when the pool has too few. REQUIRES an empty sequence without pages.
  bool restore(const Tensor& pages, std::vector<int64_t> lengths);
  // All pages, as restore() takes them, on the host.
  Tensor saved_pages(Arena& arena) const;

  // ShapeError if they do not fit into the pages reserved.
  void append(Context& ctx, int64_t layer, View<const float, 2> rows);
  // Forgets the last rows of a layer, or of all main layers; pages that no layer needs go back, those
  // reserved ahead too: reserve again before the next append. REQUIRES length <= length(layer).
  void truncate(int64_t layer, int64_t length);
  void truncate_main(int64_t length);

  // The rows of a layer from `begin` on as F32, as many as `rows` [n, d_c + d_r] takes.
  void load(Context& ctx, int64_t layer, int64_t begin, View<float, 2> rows) const;
  // For latent_attention: `n_queries` queries from `first_query` on belong to the last rows.
  SequenceRows rows(int64_t layer, int64_t first_query, int64_t n_queries) const {
    return {first_query, n_queries, length(layer), page_ids_};
  }

 private:
  std::vector<size_t> places_to_copy() const;
  void give_back_unused();

  LatentPages& pages_;
  std::vector<int32_t> page_ids_;  // row j lies in page_ids_[j / kPageRows]
  std::vector<int64_t> lengths_;   // per layer
};

}  // namespace hadal
