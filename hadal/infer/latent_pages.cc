#include "hadal/infer/latent_pages.h"

#include <algorithm>
#include <utility>

#include "hadal/core/error.h"
#include "hadal/ops/latent_rows.h"

namespace hadal {
namespace {

LatentLayout layout_of(const ModelConfig& config, LatentForm form) {
  return {form, config.kv_lora_rank, config.qk_rope_head_dim};
}

}  // namespace

LatentPages::LatentPages(const ModelConfig& config, int64_t n_pages, int64_t n_mtp, LatentForm form,
                         Memory& memory)
    : memory_(memory),
      n_pages_(n_pages),
      n_main_(config.n_layers),
      layout_(layout_of(config, form)),
      use_(static_cast<size_t>(n_pages)) {
  for (int64_t i = 0; i < n_main_ + n_mtp; ++i)
    layers_.emplace_back(n_pages * layout_.page_bytes(), memory);
}

LatentPagesView LatentPages::layer(int64_t index) const {
  return {layout_, static_cast<std::byte*>(layers_[static_cast<size_t>(index)].data()), n_pages_};
}

std::optional<int32_t> LatentPages::take() {
  int32_t page = first_new_;
  if (!given_back_.empty()) {
    page = given_back_.top();
    given_back_.pop();
  } else if (first_new_ < n_pages_) {
    ++first_new_;
  } else if (!idle_.empty()) {
    page = idle_.begin()->second;
    idle_.erase(idle_.begin());
    at(page).n_kept = 0;
    at(page).n_owners = 1;  // not to be taken by what `lost` does
    if (lost_) lost_(page);
  } else {
    return std::nullopt;
  }
  at(page).n_owners = 1;
  return page;
}

void LatentPages::share(int32_t page) {
  if (at(page).n_owners++ == 0) idle_.erase({at(page).stamp, page});
}

void LatentPages::give_back(int32_t page) {
  if (--at(page).n_owners == 0) rest(page);
}

void LatentPages::keep(int32_t page, int64_t n_rows) {
  const bool was_idle = at(page).n_owners == 0;
  if (was_idle) idle_.erase({at(page).stamp, page});
  at(page).n_kept = n_rows;
  if (was_idle) rest(page);
}

void LatentPages::rest(int32_t page) {
  if (at(page).n_kept == 0) return given_back_.push(page);
  at(page).stamp = ++clock_;
  idle_.insert({at(page).stamp, page});
}

bool LatentPages::reclaim(int32_t page) {
  if (at(page).n_owners != 1) return false;
  at(page).n_kept = 0;
  if (lost_) lost_(page);
  return true;
}

void LatentPages::copy(int32_t to, int32_t from) const {
  for (int64_t i = 0; i < n_layers(); ++i) {
    const LatentPagesView pages = layer(i);
    memory_.copy(pages.rows(to, 0, 0).data, pages.rows(from, 0, 0).data, layout_.page_bytes());
  }
}

std::vector<std::byte> LatentPages::bytes_of(int32_t page) const {
  std::vector<std::byte> bytes(static_cast<size_t>(n_layers() * layout_.page_bytes()));
  for (int64_t i = 0; i < n_layers(); ++i) {
    memory_.copy(bytes.data() + i * layout_.page_bytes(), layer(i).rows(page, 0, 0).data,
                 layout_.page_bytes());
  }
  return bytes;
}

void LatentPages::read_from(std::span<const std::byte> bytes, int32_t page) const {
  for (int64_t i = 0; i < n_layers(); ++i) {
    memory_.copy(layer(i).rows(page, 0, 0).data, bytes.data() + i * layout_.page_bytes(),
                 layout_.page_bytes());
  }
}

int64_t LatentPages::bytes_per_token(const ModelConfig& config, int64_t n_mtp, LatentForm form) {
  return (config.n_layers + n_mtp) * layout_of(config, form).row_bytes();
}

LatentSequence::LatentSequence(LatentPages& pages)
    : pages_(pages), lengths_(static_cast<size_t>(pages.n_layers()), 0) {}

// The last page first: of what is kept, the ends of sequences go before their beginnings.
LatentSequence::~LatentSequence() {
  for (; !page_ids_.empty(); page_ids_.pop_back()) pages_.give_back(page_ids_.back());
}

int64_t LatentSequence::shortest() const { return *std::ranges::min_element(lengths_); }

// The pages that will be written and that others would miss.
std::vector<size_t> LatentSequence::places_to_copy() const {
  const int64_t first_row = shortest(), first_page = first_row / kPageRows;
  std::vector<size_t> places;
  for (int64_t i = first_page; i < n_pages(); ++i) {
    const size_t place = static_cast<size_t>(i);
    const int64_t row = i == first_page ? first_row % kPageRows : 0;
    if (!pages_.is_own(page_ids_[place], row)) places.push_back(place);
  }
  return places;
}

bool LatentSequence::reserve(int64_t n_rows) {
  const int64_t missing = std::max<int64_t>(0, pages_for(n_rows) - n_pages());
  std::vector<size_t> places = places_to_copy();
  if (missing + std::ssize(places) > pages_.n_free()) {  // what is only kept gives way
    std::erase_if(places, [&](size_t place) { return pages_.reclaim(page_ids_[place]); });
  }
  if (missing + std::ssize(places) > pages_.n_free()) return false;
  for (const size_t place : places) {
    const int32_t own = *pages_.take();
    pages_.copy(own, page_ids_[place]);
    pages_.give_back(std::exchange(page_ids_[place], own));
  }
  for (int64_t i = 0; i < missing; ++i) page_ids_.push_back(*pages_.take());
  return true;
}

void LatentSequence::adopt(std::vector<int32_t> pages, int64_t n_rows) {
  page_ids_ = std::move(pages);
  std::ranges::fill(lengths_, n_rows);
}

bool LatentSequence::restore(const Tensor& pages, std::vector<int64_t> lengths) {
  const int64_t n_layers = pages_.n_layers(), bytes = n_layers * pages_.layout().page_bytes();
  if (std::ssize(lengths) != n_layers || pages.rank() != 2 || pages.dim(1) != bytes ||
      pages.dim(0) != pages_for(*std::ranges::max_element(lengths))) {
    throw ShapeError(concat("latent pages: of another pool (found ", shape_text(pages.shape()),
                            " for ", lengths.size(), " layers, expected pages of ", bytes,
                            " bytes for ", n_layers, ")"));
  }
  if (!reserve(pages.dim(0) * kPageRows)) return false;
  const auto all = std::as_bytes(pages.flat<uint8_t>());
  for (size_t i = 0; i < page_ids_.size(); ++i) {
    pages_.read_from(all.subspan(i * static_cast<size_t>(bytes), static_cast<size_t>(bytes)),
                     page_ids_[i]);
  }
  lengths_ = std::move(lengths);
  return true;
}

Tensor LatentSequence::saved_pages(Arena& arena) const {
  const int64_t needed = pages_for(*std::ranges::max_element(lengths_));
  std::vector<std::byte> all;
  for (const int32_t page : page_ids().first(static_cast<size_t>(needed))) {
    const std::vector<std::byte> bytes = pages_.bytes_of(page);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  Tensor saved =
      Tensor::empty(arena, DType::kU8, {needed, pages_.n_layers() * pages_.layout().page_bytes()});
  if (needed > 0) saved.read_from(all.data());
  return saved;
}

void LatentSequence::append(Context& ctx, int64_t layer, View<const float, 2> rows) {
  const int64_t begin = length(layer), end = begin + rows.dim(0), d_row = pages_.layout().d_row();
  if (rows.dim(1) != d_row || end > n_pages() * kPageRows) {
    throw ShapeError(concat("latent pages: got ", shape_text(rows.shape()), " behind ", begin,
                            " rows, want [at most ", n_pages() * kPageRows - begin, ",", d_row,
                            "]; reserve first"));
  }
  store_latent_rows(ctx, pages_.layer(layer), page_ids_, begin, rows);
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

void LatentSequence::load(Context& ctx, int64_t layer, int64_t begin, View<float, 2> rows) const {
  load_latent_rows(ctx, rows, pages_.layer(layer), page_ids_, begin);
}

}  // namespace hadal
