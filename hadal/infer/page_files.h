// infer/page_files.h: pages of the latent cache as files, so that a prompt is read once and not once a
// process. One file a full page, named by the hash of the model, the form of the rows and all tokens up
// to the page's end (io/block_store.h has the format; docs/latent_cache.md, "On disk").
#pragma once

#include <string>

#include "hadal/infer/latent_pages.h"
#include "hadal/io/block_store.h"

namespace hadal {

struct PageFolder {
  std::string path;  // empty: none
  int64_t most_bytes = int64_t{8} << 30;
  std::string model_id;  // of the weights: equal rows come only from equal weights (model_identity)
};

class PageFiles {
 public:
  PageFiles(const PageFolder& folder, const LatentPages& pages);  // pages outlive it

  BlockKey root() const { return root_; }
  static BlockKey key(const BlockKey& before, std::span<const int32_t> tokens);
  // Whether the file was there: then the page holds its rows.
  bool load(const BlockKey& key, std::span<const int32_t> tokens, int32_t page);
  void save(const BlockKey& key, std::span<const int32_t> tokens, int32_t page);

 private:
  std::string label(std::span<const int32_t> tokens) const;

  const LatentPages& pages_;
  std::string kind_;  // model, form and shape
  BlockKey root_;
  BlockStore store_;
};

}  // namespace hadal
