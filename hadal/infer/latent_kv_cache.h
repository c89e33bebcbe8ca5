// infer/latent_kv_cache.h: what a sequence remembers of its past tokens.
//
// One row per token and layer, [c_kv (normed latent, d_c) | k_rope (rotated key, d_r)]: 576 values
// in DeepSeek-V3 where full keys and values would be 40960 (spec 01, section 6). Rows are f32. A
// cache belongs to one sequence; several sequences are several caches. Addresses for `capacity`
// rows are reserved at the start and memory arrives as rows are appended, so growing copies
// nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/model/config.h"
#include "hadal/tensor/reserved_memory.h"
#include "hadal/tensor/view.h"

namespace hadal {

// The rows of one layer.
class LatentRows {
 public:
  LatentRows(int64_t capacity, int64_t d_row);

  int64_t length() const { return length_; }
  int64_t capacity() const { return capacity_; }
  View<const float, 2> rows() const;       // [length, d_row]
  void append(View<const float, 2> rows);  // ShapeError if they do not fit
  void truncate(int64_t length);           // forgets the last rows; REQUIRES length <= length()

 private:
  int64_t capacity_, d_row_, length_ = 0;
  ReservedMemory memory_;
};

// All layers of one sequence: the main model's, then `n_mtp` of the MTP modules'. MTP module k lags
// k rows behind, since its row i needs token i+k.
class LatentKvCache {
 public:
  LatentKvCache(const ModelConfig& config, int64_t capacity, int64_t n_mtp);

  LatentRows& layer(int64_t index) { return layers_[static_cast<size_t>(index)]; }
  LatentRows& mtp(int64_t module) { return layers_[static_cast<size_t>(n_main_ + module)]; }
  const LatentRows& mtp(int64_t module) const {
    return layers_[static_cast<size_t>(n_main_ + module)];
  }
  int64_t n_mtp() const { return static_cast<int64_t>(layers_.size()) - n_main_; }
  int64_t length() const { return layers_.front().length(); }  // tokens the main model has seen
  int64_t shortest() const;  // the same for the layer, MTP included, that has seen least
  int64_t capacity() const { return layers_.front().capacity(); }
  void truncate_main(int64_t length);

  static int64_t bytes_per_token(const ModelConfig& config, int64_t n_mtp);

 private:
  int64_t n_main_;
  std::vector<LatentRows> layers_;
};

}  // namespace hadal
