#include "hadal/infer/latent_pages.h"

#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/ops/copy.h"

namespace hadal {
namespace {

int64_t row_size(const ModelConfig& config) {
  return config.kv_lora_rank + config.qk_rope_head_dim;
}

}  // namespace

LatentPages::LatentPages(const ModelConfig& config, int64_t n_pages, int64_t n_mtp)
    : n_pages_(n_pages), n_main_(config.n_layers), d_row_(row_size(config)) {
  const int64_t bytes = n_pages * kPageRows * d_row_ * static_cast<int64_t>(sizeof(float));
  for (int64_t i = 0; i < n_main_ + n_mtp; ++i) layers_.emplace_back(bytes);
}

View<float, 3> LatentPages::layer(int64_t index) {
  return {static_cast<float*>(layers_[static_cast<size_t>(index)].data()),
          {n_pages_, kPageRows, d_row_}};
}

std::optional<int32_t> LatentPages::take() {
  if (!given_back_.empty()) {
    const int32_t page = given_back_.top();
    given_back_.pop();
    return page;
  }
  if (first_new_ == n_pages_) return std::nullopt;
  return first_new_++;
}

void LatentPages::give_back(int32_t page) { given_back_.push(page); }

int64_t LatentPages::bytes_per_token(const ModelConfig& config, int64_t n_mtp) {
  return (config.n_layers + n_mtp) * row_size(config) * static_cast<int64_t>(sizeof(float));
}

LatentSequence::LatentSequence(LatentPages& pages)
    : pages_(pages), lengths_(static_cast<size_t>(pages.n_layers()), 0) {}

LatentSequence::~LatentSequence() {
  for (const int32_t page : page_ids_) pages_.give_back(page);
}

int64_t LatentSequence::shortest() const { return *std::ranges::min_element(lengths_); }

bool LatentSequence::reserve(int64_t n_rows) {
  const int64_t missing = pages_for(n_rows) - n_pages();
  if (missing > pages_.n_free()) return false;
  for (int64_t i = 0; i < missing; ++i) page_ids_.push_back(*pages_.take());
  return true;
}

void LatentSequence::append(Context& ctx, int64_t layer, View<const float, 2> rows) {
  const int64_t begin = length(layer), end = begin + rows.dim(0),
                d_row = pages_.layer(layer).dim(2);
  if (rows.dim(1) != d_row || end > n_pages() * kPageRows) {
    throw ShapeError(concat("latent pages: got ", shape_text(rows.shape()), " behind ", begin,
                            " rows, want [at most ", n_pages() * kPageRows - begin, ",", d_row,
                            "]; reserve first"));
  }
  int64_t done = 0;
  for (const View<float, 2>& piece : pieces(layer, begin, end)) {
    copy_rows(ctx, piece, rows.rows(done, done + piece.dim(0)));
    done += piece.dim(0);
  }
  lengths_[static_cast<size_t>(layer)] = end;
}

void LatentSequence::truncate(int64_t layer, int64_t length) {
  lengths_[static_cast<size_t>(layer)] = length;
  give_back_unused();
}

void LatentSequence::truncate_main(int64_t length) {
  std::fill_n(lengths_.begin(), pages_.n_main(), length);
  give_back_unused();
}

void LatentSequence::give_back_unused() {
  const int64_t needed = pages_for(*std::ranges::max_element(lengths_));
  for (; n_pages() > needed; page_ids_.pop_back()) pages_.give_back(page_ids_.back());
}

std::vector<View<float, 2>> LatentSequence::pieces(int64_t layer, int64_t begin,
                                                   int64_t end) const {
  const View<float, 3> all = pages_.layer(layer);
  const View<float, 2> rows(all.data(), {all.dim(0) * kPageRows, all.dim(2)});
  const auto place = [&](int64_t j) {  // in `rows`
    return page_ids_[static_cast<size_t>(j / kPageRows)] * kPageRows + j % kPageRows;
  };
  std::vector<View<float, 2>> result;
  for (int64_t j = begin; j < end;) {
    int64_t next = std::min(end, (j / kPageRows + 1) * kPageRows);
    while (next < end && place(next) == place(next - 1) + 1) {
      next = std::min(end, next + kPageRows);
    }
    result.push_back(rows.rows(place(j), place(j) + next - j));
    j = next;
  }
  return result;
}

}  // namespace hadal
