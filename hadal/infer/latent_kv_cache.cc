#include "hadal/infer/latent_kv_cache.h"

#include <algorithm>
#include <cstring>

#include "hadal/core/error.h"

namespace hadal {
namespace {

int64_t row_size(const ModelConfig& config) {
  return config.kv_lora_rank + config.qk_rope_head_dim;
}

}  // namespace

LatentRows::LatentRows(int64_t capacity, int64_t d_row)
    : capacity_(capacity),
      d_row_(d_row),
      memory_(capacity * d_row * static_cast<int64_t>(sizeof(float))) {}

View<const float, 2> LatentRows::rows() const {
  return {static_cast<const float*>(memory_.data()), {length_, d_row_}};
}

void LatentRows::append(View<const float, 2> rows) {
  if (rows.dim(1) != d_row_ || length_ + rows.dim(0) > capacity_) {
    throw ShapeError(concat("latent cache: got ", shape_text(rows.shape()), " behind ", length_,
                            " rows, want [at most ", capacity_ - length_, ",", d_row_, "]"));
  }
  float* to = static_cast<float*>(memory_.data()) + length_ * d_row_;
  for (int64_t t = 0; t < rows.dim(0); ++t, to += d_row_) {
    std::memcpy(to, rows.row(t).data(), static_cast<size_t>(d_row_) * sizeof(float));
  }
  length_ += rows.dim(0);
}

void LatentRows::truncate(int64_t length) { length_ = length; }

LatentKvCache::LatentKvCache(const ModelConfig& config, int64_t capacity, int64_t n_mtp)
    : n_main_(config.n_layers) {
  for (int64_t i = 0; i < n_main_ + n_mtp; ++i) layers_.emplace_back(capacity, row_size(config));
}

int64_t LatentKvCache::shortest() const {
  int64_t least = length();
  for (const LatentRows& rows : layers_) least = std::min(least, rows.length());
  return least;
}

void LatentKvCache::truncate_main(int64_t length) {
  for (int64_t i = 0; i < n_main_; ++i) layer(i).truncate(length);
}

int64_t LatentKvCache::bytes_per_token(const ModelConfig& config, int64_t n_mtp) {
  return (config.n_layers + n_mtp) * row_size(config) * static_cast<int64_t>(sizeof(float));
}

}  // namespace hadal
