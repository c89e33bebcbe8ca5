#include "hadal/infer/page_files.h"

#include <cstring>

#include "hadal/core/error.h"

namespace hadal {
namespace {

std::string_view bytes_of(std::span<const int32_t> tokens) {
  return {reinterpret_cast<const char*>(tokens.data()), tokens.size_bytes()};
}

std::string kind_of(const PageFolder& folder, const LatentPages& pages) {
  const LatentLayout& layout = pages.layout();
  return concat(folder.model_id, " ", latent_form_name(layout.form), " rows of ", layout.d_c, "+",
                layout.d_rope, ", layers ", pages.n_main(), "+", pages.n_mtp(), ", tokens");
}

}  // namespace

PageFiles::PageFiles(const PageFolder& folder, const LatentPages& pages)
    : pages_(pages),
      kind_(kind_of(folder, pages)),
      root_(chained_key({}, kind_)),
      store_(folder.path, folder.most_bytes) {}

BlockKey PageFiles::key(const BlockKey& before, std::span<const int32_t> tokens) {
  return chained_key(before, bytes_of(tokens));
}

std::string PageFiles::label(std::span<const int32_t> tokens) const {
  std::string text = kind_;
  for (const int32_t token : tokens) text += concat(" ", token);
  return text;
}

std::span<std::byte> PageFiles::part(int64_t layer, int32_t page) const {
  return {pages_.layer(layer).rows(page, 0, 0).data,
          static_cast<size_t>(pages_.layout().page_bytes())};
}

bool PageFiles::load(const BlockKey& key, std::span<const int32_t> tokens, int32_t page) {
  const auto bytes = store_.load(key, label(tokens));
  const size_t page_bytes = part(0, page).size();
  if (!bytes || bytes->size() != page_bytes * static_cast<size_t>(pages_.n_layers())) return false;
  for (int64_t layer = 0; layer < pages_.n_layers(); ++layer) {
    const size_t at = static_cast<size_t>(layer) * page_bytes;
    std::memcpy(part(layer, page).data(), bytes->data() + at, page_bytes);
  }
  return true;
}

void PageFiles::save(const BlockKey& key, std::span<const int32_t> tokens, int32_t page) {
  std::vector<std::span<const std::byte>> parts;
  for (int64_t layer = 0; layer < pages_.n_layers(); ++layer) parts.push_back(part(layer, page));
  store_.save(key, label(tokens), parts);
}

}  // namespace hadal
