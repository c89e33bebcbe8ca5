#include "hadal/infer/page_files.h"

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

bool PageFiles::load(const BlockKey& key, std::span<const int32_t> tokens, int32_t page) {
  const auto bytes = store_.load(key, label(tokens));
  const int64_t page_bytes = pages_.n_layers() * pages_.layout().page_bytes();
  if (!bytes || std::ssize(*bytes) != page_bytes) return false;
  pages_.read_from(*bytes, page);
  return true;
}

void PageFiles::save(const BlockKey& key, std::span<const int32_t> tokens, int32_t page) {
  const std::vector<std::byte> bytes = pages_.bytes_of(page);
  const std::span<const std::byte> all = bytes;
  store_.save(key, label(tokens), {&all, 1});
}

}  // namespace hadal
