// data/document_tokens.h: one document as the token ids that training sees:
//
//   BOS text EOS     or, at `fim_rate`,     BOS fim_begin prefix fim_hole suffix fim_end middle EOS
//
// Text that spells a special token stays text. Every choice comes from (seed, content), so a
// document gives the same ids in whatever company and on whatever thread it is encoded.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "hadal/corpus/content_hash.h"
#include "hadal/data/tokenizer.h"

namespace hadal {

struct DocumentTokenOptions {
  double fim_rate = 0.0;
  // Share of the tokens that join punctuation and line breaks which are cut in two, so that a
  // prompt that ends without a line break is not out of distribution (report section 4.1).
  double boundary_split_rate = 0.0;
  uint64_t seed = 0;
};

class DocumentEncoder {
 public:
  // ConfigError if the tokenizer lacks the end mark, or the FIM marks while fim_rate > 0.
  DocumentEncoder(const Tokenizer& tokenizer, const DocumentTokenOptions& options);

  std::vector<int32_t> encode(std::string_view text, const ContentHash& hash) const;
  // The same ids; one long text is shared among the threads.
  std::vector<int32_t> encode_parallel(std::string_view text, const ContentHash& hash,
                                       ThreadPool& pool) const;

  // Without fill-in-the-middle.
  DocumentEncoder without_fim() const;

  int32_t eos() const { return eos_; }

 private:
  std::vector<int32_t> encode_with(std::string_view text, const ContentHash& hash,
                                   ThreadPool* pool) const;

  struct Halves {
    int32_t punctuation = -1, line_breaks = -1;
  };
  const Tokenizer& tokenizer_;
  DocumentTokenOptions options_;
  std::optional<int32_t> bos_;
  int32_t eos_ = 0;
  std::vector<Halves> halves_;  // by id; -1: not such a token
};

}  // namespace hadal
