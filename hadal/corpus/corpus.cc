#include "hadal/corpus/corpus.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/core/utf8.h"

namespace hadal {
namespace {

struct HashOfHash {
  size_t operator()(const ContentHash& hash) const { return static_cast<size_t>(hash.low); }
};

// Where the last `fraction` of a text begins: after a line end if one is near, else at a character.
size_t tail_begin(std::string_view text, double fraction, int64_t max_bytes) {
  const auto wanted = static_cast<int64_t>(static_cast<double>(text.size()) * fraction);
  const auto tail = static_cast<size_t>(std::min({wanted, max_bytes, int64_t(text.size())}));
  const size_t begin = text.size() - tail;
  const size_t line_end = text.find('\n', begin);
  if (line_end != std::string_view::npos && line_end + 1 < begin + tail / 2) return line_end + 1;
  return utf8_boundary_at_or_before(text, begin);
}

}  // namespace

Corpus Corpus::scan(std::vector<SourceFile> files, const CorpusOptions& options) {
  require(options.validation_fraction >= 0.0 && options.validation_fraction < 1.0,
          {.field = "data.validation_fraction",
           .problem = "not a share",
           .found = options.validation_fraction,
           .expected = "0 up to, but not, 1"});
  Corpus corpus;
  corpus.files_ = std::move(files);
  corpus.options_ = options;
  const auto source = open_sources(corpus.files_, options.source);
  std::unordered_set<ContentHash, HashOfHash> seen;
  ProgressLine progress;
  while (const auto document = source->next()) {
    if (interrupted())
      throw Interrupted("interrupted while reading the documents; nothing was kept");
    Entry entry{content_hash(document->text), static_cast<int64_t>(document->text.size()),
                Split::kTrain};
    if (options.dedup && !seen.insert(entry.hash).second) entry.split = Split::kDuplicate;
    const bool duplicate = entry.split == Split::kDuplicate;
    (duplicate ? corpus.counts_.duplicates : corpus.counts_.documents) += 1;
    (duplicate ? corpus.counts_.duplicate_bytes : corpus.counts_.bytes) += entry.bytes;
    corpus.entries_.push_back(entry);
    if (progress.due()) {
      progress.show(concat("reading   ", corpus.counts_.documents, " documents, ",
                           human_bytes(static_cast<double>(corpus.counts_.bytes))));
    }
  }
  corpus.counts_.files = source->counts().files;
  corpus.counts_.binary_files = source->counts().binary_files;
  corpus.counts_.empty_documents = source->counts().empty_documents;
  corpus.counts_.remarks = source->counts().remarks.lines();
  SourceRemarks::say(corpus.counts_.remarks);
  corpus.divide();
  return corpus;
}

void Corpus::divide() {
  std::vector<size_t> unique;  // by hash
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].split != Split::kDuplicate) unique.push_back(i);
  }
  std::sort(unique.begin(), unique.end(), [&](size_t a, size_t b) {
    return std::tie(entries_[a].hash, a) < std::tie(entries_[b].hash, b);
  });
  const bool holds_out = options_.validation_fraction > 0.0 && !unique.empty();
  single_document_ = holds_out && unique.size() == 1;
  if (holds_out && !single_document_) {
    std::vector<size_t> held_out;
    for (const size_t i : unique) {
      if (split_position(entries_[i].hash) < options_.validation_fraction) held_out.push_back(i);
    }
    // Some text must be scored, and some must be left to train on.
    if (held_out.empty()) held_out.push_back(unique.front());
    if (held_out.size() == unique.size()) held_out.pop_back();
    int64_t left = options_.max_validation_bytes;
    for (const size_t i : held_out) {
      entries_[i].split = entries_[i].bytes <= left ? Split::kValidation : Split::kHeldBack;
      if (entries_[i].split == Split::kValidation) left -= entries_[i].bytes;
    }
    if (left == options_.max_validation_bytes && left > 0) {
      entries_[held_out.front()].split = Split::kValidation;
      validation_limit_ = left;
    }
  }
  for (const Entry& entry : entries_) {
    switch (entry.split) {
      case Split::kTrain:
        ++counts_.train_documents;
        counts_.train_bytes += entry.bytes;
        break;
      case Split::kValidation:
        ++counts_.validation_documents;
        counts_.validation_bytes += validation_limit_ > 0 ? validation_limit_ : entry.bytes;
        break;
      case Split::kHeldBack:
        ++counts_.held_back_documents;
        break;
      case Split::kDuplicate:
        break;
    }
  }
  if (single_document_) {
    // The exact cut needs the text; it is read once more.
    for_each(Split::kValidation, [&](const Document& document, const ContentHash&) {
      counts_.validation_documents = 1;
      counts_.validation_bytes = static_cast<int64_t>(document.text.size());
      counts_.train_bytes -= counts_.validation_bytes;
    });
  }
}

std::string_view Corpus::part(const Entry& entry, Split split, std::string_view text) const {
  if (single_document_ && entry.split == Split::kTrain) {
    const size_t cut =
        tail_begin(text, options_.validation_fraction, options_.max_validation_bytes);
    if (split == Split::kTrain) return text.substr(0, cut);
    return split == Split::kValidation ? text.substr(cut) : std::string_view();
  }
  if (entry.split != split) return {};
  if (split == Split::kValidation && validation_limit_ > 0) {
    return text.substr(0, utf8_boundary_at_or_before(text, static_cast<size_t>(validation_limit_)));
  }
  return text;
}

void Corpus::for_each(Split split, const Visitor& visit) const {
  const auto source = open_sources(files_, options_.source);
  for (const Entry& entry : entries_) {
    auto document = source->next();
    if (!document || content_hash(document->text) != entry.hash) {
      throw FormatError(concat(document ? document->name : files_.back().path,
                               ": changed while it was being read; run the command again"));
    }
    const std::string_view own = part(entry, split, document->text);
    if (own.empty()) continue;
    if (own.size() < document->text.size()) {
      document->text = std::string(own);
      document->file_begins.clear();
    }
    visit(*document, entry.hash);
  }
}

}  // namespace hadal
