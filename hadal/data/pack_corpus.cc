#include "hadal/data/pack_corpus.h"

#include "hadal/core/clock.h"
#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/data/packing.h"

namespace hadal {
namespace {

// Documents are encoded in groups of about this much text: enough to keep every thread busy, little
// enough to forget. A document above kLargeDocument is shared among the threads instead.
constexpr size_t kGroupBytes = size_t{8} << 20;
constexpr size_t kLargeDocument = size_t{1} << 20;

// Encodes documents with all threads and hands the ids on in the order they came.
class GroupEncoder {
 public:
  using Sink = std::function<void(std::span<const int32_t> ids, size_t source)>;
  GroupEncoder(ThreadPool& pool, Sink sink) : pool_(pool), sink_(std::move(sink)) {}

  // REQUIRES `encoder` to live until flush().
  void add(const DocumentEncoder& encoder, std::string_view text, const ContentHash& hash,
           int64_t argument) {
    const auto source = static_cast<size_t>(argument);
    if (text.size() >= kLargeDocument) {
      flush();
      sink_(encoder.encode_parallel(text, hash, pool_), source);
      return;
    }
    bytes_ += text.size();
    group_.push_back({&encoder, std::string(text), hash, source});
    if (bytes_ >= kGroupBytes) flush();
  }

  void flush() {
    std::vector<std::vector<int32_t>> ids(group_.size());
    pool_.parallel_tasks(static_cast<int64_t>(group_.size()), [&](int64_t task, int) {
      const auto i = static_cast<size_t>(task);
      ids[i] = group_[i].encoder->encode(group_[i].text, group_[i].hash);
    });
    for (size_t i = 0; i < ids.size(); ++i) sink_(ids[i], group_[i].source);
    group_.clear();
    bytes_ = 0;
  }

 private:
  struct Item {
    const DocumentEncoder* encoder;
    std::string text;
    ContentHash hash;
    size_t source;
  };

  ThreadPool& pool_;
  Sink sink_;
  std::vector<Item> group_;
  size_t bytes_ = 0;
};

std::string_view file_of(const Document& document, size_t file) {
  const std::vector<size_t>& begins = document.file_begins;
  const size_t end = file + 1 < begins.size() ? begins[file + 1] : document.text.size();
  return std::string_view(document.text).substr(begins[file], end - begins[file]);
}

// What decides by chance about a file that is counted by itself: draws of its own, so that what they change
// averages out over the files of a document.
ContentHash hash_of_file(const ContentHash& document, size_t file) {
  return {document.high, document.low + file};
}

// Which documents of a split make up the shares. The files of a document are counted one by one; together
// with the marks around it, which go to the first of them, they are the document but for a few tokens.
Mixture mixed_documents(const Corpus& corpus, Split split, const DocumentEncoder& encoder,
                        std::span<const double> shares, ThreadPool& pool) {
  const DocumentEncoder file_encoder = encoder.without_fim();
  const int64_t file_marks = std::ssize(file_encoder.encode("", {}));
  std::vector<MixedDocument> documents;
  size_t counted = 0, file = 0;
  GroupEncoder group(pool, [&](std::span<const int32_t> ids, size_t) {
    MixedDocument& document = documents[counted];
    std::vector<int64_t>& files = document.file_sizes;
    int64_t size = std::ssize(ids);
    if (!files.empty()) {
      size -= file_marks;
      if (file == 0) size += std::ssize(encoder.encode("", document.hash));
      files[file++] = size;
    }
    document.size += size;
    if (file < files.size()) return;
    ++counted;
    file = 0;
  });
  corpus.for_each(split, [&](const Document& document, const ContentHash& hash) {
    if (interrupted()) throw Interrupted("interrupted while preparing the data; nothing was kept");
    const size_t n_files = document.file_begins.size();
    documents.push_back({hash, document.argument, 0, std::vector<int64_t>(n_files)});
    if (n_files == 0) group.add(encoder, document.text, hash, document.argument);
    for (size_t i = 0; i < n_files; ++i) {
      group.add(file_encoder, file_of(document, i), hash_of_file(hash, i), document.argument);
    }
  });
  group.flush();
  return mix(documents, shares);
}

std::string taken_text(const Document& document, const std::vector<bool>& files) {
  std::string text;
  for (size_t i = 0; i < files.size(); ++i) {
    if (files[i]) text += file_of(document, i);
  }
  return text;
}

void warn_of_shares(const std::vector<int64_t>& tokens, std::span<const double> shares) {
  constexpr double kClose = 1e-3;
  if (const double off = largest_deviation(tokens, shares); off > kClose) {
    log_warning("data.shares: the documents are too few or too long to make up the shares (off by ",
                percent(off), ")");
  }
}

}  // namespace

PackedSplit pack_split(const Corpus& corpus, Split split, const std::string& name,
                       const std::string& folder, const ShardShape& shape,
                       const DocumentEncoder& encoder, const DocumentChoice& choice,
                       ThreadPool& pool) {
  PackedSplit packed;
  Mixture mixture;
  if (!choice.shares.empty()) {
    mixture = mixed_documents(corpus, split, encoder, choice.shares, pool);
    packed.source_tokens.resize(choice.shares.size());
  }
  TokenShardWriter writer(folder, name, shape);
  DocumentPacker packer(shape.row_tokens,
                        [&](std::span<const int32_t> row) { writer.add_row(row); });
  size_t index = 0;    // of the document in its split
  bool again = false;  // the second pass, over what was read
  GroupEncoder group(pool, [&](std::span<const int32_t> ids, size_t source) {
    if (ids.size() < 2 || (choice.read && choice.read->contains(ids) != again)) return;
    packed.tokens += static_cast<int64_t>(ids.size());
    if (!choice.shares.empty()) packed.source_tokens[source] += std::ssize(ids);
    packer.add(ids);
  });
  ProgressLine progress;
  const CorpusCounts& counts = corpus.counts();
  const int64_t bytes = split == Split::kTrain ? counts.train_bytes : counts.validation_bytes;
  const auto total = static_cast<double>(bytes) * (choice.read ? 2.0 : 1.0);
  const double start = monotonic_seconds();
  double done = 0.0;
  const auto encode = [&](const Document& document, const ContentHash& hash) {
    if (interrupted()) throw Interrupted("interrupted while preparing the data; nothing was kept");
    const size_t i = index++;
    if (const auto cut = mixture.files.find(i); cut != mixture.files.end()) {
      group.add(encoder, taken_text(document, cut->second), hash, document.argument);
    } else if (mixture.taken.empty() || mixture.taken[i]) {
      group.add(encoder, document.text, hash, document.argument);
    }
    done += static_cast<double>(document.text.size());
    if (progress.due()) {
      const double seconds = monotonic_seconds() - start;
      progress.show(concat("tokenising ", progress_bar(done / total, 14), "  ", human_bytes(done),
                           " of ", human_bytes(total), ", ", human_bytes(done / seconds), "/s, ",
                           human_seconds(seconds * (total / done - 1.0)), " left"));
    }
  };
  const auto pass = [&] {
    index = 0;
    corpus.for_each(split, encode);
    group.flush();
    packer.finish();
  };
  pass();
  packed.unread_rows = writer.n_rows();
  if (choice.read) {
    again = true;
    pass();
  }
  writer.finish();
  if (!choice.shares.empty()) warn_of_shares(packed.source_tokens, choice.shares);
  packed.rows = writer.n_rows();
  packed.padding = packer.padding();
  return packed;
}

}  // namespace hadal
