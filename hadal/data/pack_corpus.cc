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
      hand_on(encoder_.encode_parallel(document.text, hash, pool_));
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
    for (const auto& document : ids) hand_on(document);
    group_.clear();
    bytes_ = 0;
  }

  int64_t tokens() const { return tokens_; }

 private:
  struct Item {
    std::string text;
    ContentHash hash;
  };
  void hand_on(const std::vector<int32_t>& ids) {
    if (ids.size() < 2) return;
    tokens_ += static_cast<int64_t>(ids.size());
    sink_(ids);
  }

  const DocumentEncoder& encoder_;
  ThreadPool& pool_;
  Sink sink_;
  std::vector<Item> group_;
  size_t bytes_ = 0;
  int64_t tokens_ = 0;
};

}  // namespace

PackedSplit pack_split(const Corpus& corpus, Split split, const std::string& name,
                       const std::string& folder, const ShardShape& shape,
                       const DocumentEncoder& encoder, ThreadPool& pool) {
  TokenShardWriter writer(folder, name, shape);
  DocumentPacker packer(shape.row_tokens,
                        [&](std::span<const int32_t> row) { writer.add_row(row); });
  GroupEncoder group(encoder, pool, [&](std::span<const int32_t> ids) { packer.add(ids); });
  ProgressLine progress;
  const CorpusCounts& counts = corpus.counts();
  const auto total =
      static_cast<double>(split == Split::kTrain ? counts.train_bytes : counts.validation_bytes);
  const double start = monotonic_seconds();
  double done = 0.0;
  corpus.for_each(split, [&](const Document& document, const ContentHash& hash) {
    if (interrupted()) throw Interrupted("interrupted while preparing the data; nothing was kept");
    group.add(document, hash);
    done += static_cast<double>(document.text.size());
    if (progress.due()) {
      const double seconds = monotonic_seconds() - start;
      progress.show(concat("tokenising ", progress_bar(done / total, 14), "  ", human_bytes(done),
                           " of ", human_bytes(total), ", ", human_bytes(done / seconds), "/s, ",
                           human_seconds(seconds * (total / done - 1.0)), " left"));
    }
  });
  group.flush();
  packer.finish();
  writer.finish();
  return {group.tokens(), writer.n_rows(), packer.padding()};
}

}  // namespace hadal
