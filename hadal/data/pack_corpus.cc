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
  using Sink = std::function<void(std::span<const int32_t>)>;
  GroupEncoder(const DocumentEncoder& encoder, ThreadPool& pool, Sink sink)
      : encoder_(encoder), pool_(pool), sink_(std::move(sink)) {}

  void add(const Document& document, const ContentHash& hash) {
    if (document.text.size() >= kLargeDocument) {
      flush();
      sink_(encoder_.encode_parallel(document.text, hash, pool_));
      return;
    }
    bytes_ += document.text.size();
    group_.push_back({document.text, hash});
    if (bytes_ >= kGroupBytes) flush();
  }

  void flush() {
    std::vector<std::vector<int32_t>> ids(group_.size());
    pool_.parallel_tasks(static_cast<int64_t>(group_.size()), [&](int64_t task, int) {
      const auto i = static_cast<size_t>(task);
      ids[i] = encoder_.encode(group_[i].text, group_[i].hash);
    });
    for (const auto& document : ids) sink_(document);
    group_.clear();
    bytes_ = 0;
  }

 private:
  struct Item {
    std::string text;
    ContentHash hash;
  };

  const DocumentEncoder& encoder_;
  ThreadPool& pool_;
  Sink sink_;
  std::vector<Item> group_;
  size_t bytes_ = 0;
};

// Which documents of a split make up the shares.
Mixture mixed_documents(const Corpus& corpus, Split split, const DocumentEncoder& encoder,
                        std::span<const double> shares, ThreadPool& pool) {
  std::vector<MixedDocument> documents;
  size_t counted = 0;
  GroupEncoder group(encoder, pool, [&](std::span<const int32_t> ids) {
    documents[counted++].size = static_cast<int64_t>(ids.size());
  });
  corpus.for_each(split, [&](const Document& document, const ContentHash& hash) {
    if (interrupted()) throw Interrupted("interrupted while preparing the data; nothing was kept");
    documents.push_back({hash, document.argument, 0});
    group.add(document, hash);
  });
  group.flush();
  Mixture mixture = mix(documents, shares);
  constexpr double kClose = 1e-3;
  if (const double off = largest_deviation(mixture.size, shares); off > kClose) {
    log_warning("data.shares: the documents are too few or too long to make up the shares (off by ",
                percent(off), ")");
  }
  return mixture;
}

}  // namespace

PackedSplit pack_split(const Corpus& corpus, Split split, const std::string& name,
                       const std::string& folder, const ShardShape& shape,
                       const DocumentEncoder& encoder, const DocumentChoice& choice,
                       ThreadPool& pool) {
  PackedSplit packed;
  std::vector<bool> taken;
  if (!choice.shares.empty()) {
    Mixture mixture = mixed_documents(corpus, split, encoder, choice.shares, pool);
    taken = std::move(mixture.taken);
    packed.source_tokens = std::move(mixture.size);
  }
  TokenShardWriter writer(folder, name, shape);
  DocumentPacker packer(shape.row_tokens,
                        [&](std::span<const int32_t> row) { writer.add_row(row); });
  size_t index = 0;    // of the document in its split
  bool again = false;  // the second pass, over what was read
  GroupEncoder group(encoder, pool, [&](std::span<const int32_t> ids) {
    if (ids.size() < 2 || (choice.read && choice.read->contains(ids) != again)) return;
    packed.tokens += static_cast<int64_t>(ids.size());
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
    if (taken.empty() || taken[index++]) group.add(document, hash);
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
  packed.rows = writer.n_rows();
  packed.padding = packer.padding();
  return packed;
}

}  // namespace hadal
