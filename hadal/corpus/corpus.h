// corpus/corpus.h: the documents of a training run: read once to find duplicates and to divide
// them, then read again, one split at a time. Memory is a few bytes a document, not the text.
//
// A document whose hash falls below `validation_fraction` is held out and never trained on,
// whatever else there is. Held-out documents are scored in the order of their hashes up to
// `max_validation_bytes`; the rest of them is held back. If the hashes choose none, the document
// with the smallest hash is held out; a single document gives its last part.
#pragma once

#include <functional>

#include "hadal/corpus/content_hash.h"
#include "hadal/corpus/document_source.h"

namespace hadal {

struct CorpusOptions {
  SourceOptions source;
  bool dedup = true;
  double validation_fraction = 0.02;
  int64_t max_validation_bytes = int64_t{4} << 20;
};

enum class Split : uint8_t { kTrain, kValidation, kHeldBack, kDuplicate };

struct CorpusCounts {
  int64_t files = 0, binary_files = 0, empty_documents = 0;
  int64_t documents = 0, bytes = 0;  // unique documents and their text
  int64_t duplicates = 0, duplicate_bytes = 0;
  int64_t train_documents = 0, train_bytes = 0;
  int64_t validation_documents = 0, validation_bytes = 0;
  int64_t held_back_documents = 0;
  std::vector<std::string>
      remarks;  // what was no UTF-8 or no text (source_remarks.h), said by scan
};

class Corpus {
 public:
  static Corpus scan(std::vector<SourceFile> files, const CorpusOptions& options);

  const CorpusCounts& counts() const { return counts_; }
  const std::vector<SourceFile>& files() const { return files_; }

  // The documents of a split in source order. FormatError if a file changed since the scan.
  using Visitor = std::function<void(const Document& document, const ContentHash& hash)>;
  void for_each(Split split, const Visitor& visit) const;

 private:
  struct Entry {
    ContentHash hash;
    int64_t bytes = 0;
    Split split = Split::kTrain;
  };
  void divide();
  // The part of a document that a split owns: all of it, but for the two cases where one is cut.
  std::string_view part(const Entry& entry, Split split, std::string_view text) const;

  std::vector<SourceFile> files_;
  CorpusOptions options_;
  std::vector<Entry> entries_;
  CorpusCounts counts_;
  bool single_document_ = false;  // its head is trained on, its tail held out
  int64_t validation_limit_ =
      0;  // bytes kept of a held-out document that alone passes the cap; 0: all
};

}  // namespace hadal
