// infer/latent_pages.h: what sequences remember of their past tokens.
//
// One row per token and layer, [c_kv (normed latent, d_c) | k_rope (rotated key, d_r)]: 576 values
// in DeepSeek-V3 where full keys and values would be 40960. Rows are f32.
//
// Rows lie in pages of kPageRows = 64 tokens, the block of keys of ops/latent_attention.h. A page is
// taken by one sequence, for every layer at once (MTP modules included), so a sequence has one list
// of page ids and a length per layer. Page p of layer l lies at pages.layer(l)(p, ...).
#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <vector>

#include "hadal/model/config.h"
#include "hadal/ops/latent_attention.h"
#include "hadal/tensor/reserved_memory.h"

namespace hadal {

// The pool. Addresses are reserved at the start; memory arrives when a page is first written, and
// stays for the page's next owner. Ids are given out lowest first: one sequence alone lies in
// adjacent pages, that is in plain consecutive rows.
//
// Not thread-safe: a pool and its sequences belong to one thread at a time.
class LatentPages {
 public:
  // `n_mtp`: how many of the MTP modules have rows too, behind the main layers.
  LatentPages(const ModelConfig& config, int64_t n_pages, int64_t n_mtp);

  int64_t n_pages() const { return n_pages_; }
  int64_t n_free() const { return n_pages_ - first_new_ + std::ssize(given_back_); }
  int64_t n_main() const { return n_main_; }
  int64_t n_layers() const { return std::ssize(layers_); }
  int64_t n_mtp() const { return n_layers() - n_main_; }

  View<float, 3> layer(int64_t index);  // [n_pages, 64, d_c + d_r]
  std::optional<int32_t> take();        // the lowest free id; none when all are taken
  void give_back(int32_t page);         // REQUIRES that it was taken

  static int64_t bytes_per_token(const ModelConfig& config, int64_t n_mtp);

 private:
  int64_t n_pages_, n_main_, d_row_;
  std::vector<ReservedMemory> layers_;
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

  // Takes the pages that `n_rows` rows need. False when the pool has not so many: nothing is taken.
  bool reserve(int64_t n_rows);
  int64_t n_pages() const { return std::ssize(page_ids_); }

  // ShapeError if they do not fit into the pages reserved.
  void append(Context& ctx, int64_t layer, View<const float, 2> rows);
  // Forgets the last rows of a layer, or of all main layers; pages that no layer needs go back, those
  // reserved ahead too. REQUIRES length <= length(layer).
  void truncate(int64_t layer, int64_t length);
  void truncate_main(int64_t length);

  // Rows [begin, end) of a layer, one piece per run of adjacent pages.
  std::vector<View<float, 2>> pieces(int64_t layer, int64_t begin, int64_t end) const;
  // For latent_attention: `n_queries` queries from `first_query` on belong to the last rows.
  SequenceRows rows(int64_t layer, int64_t first_query, int64_t n_queries) const {
    return {first_query, n_queries, length(layer), page_ids_};
  }

 private:
  void give_back_unused();

  LatentPages& pages_;
  std::vector<int32_t> page_ids_;  // row j lies in page_ids_[j / kPageRows]
  std::vector<int64_t> lengths_;   // per layer
};

}  // namespace hadal
