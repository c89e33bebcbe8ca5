#include "hadal/data/bpe_trainer.h"

#include <algorithm>
#include <queue>
#include <unordered_set>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/data/bpe_model.h"
#include "hadal/data/deepseek_scanner.h"
#include "hadal/data/piece_counts.h"
#include "hadal/data/trained_tokenizer_json.h"

namespace hadal {
namespace {

constexpr int32_t kBytes = 256;  // token t < 256 is byte t; merges follow

// A pair of neighbours: how often it stands in the texts, and in which words it may stand.
struct Pair {
  int32_t left = 0, right = 0;
  int64_t count = 0;
  std::vector<uint32_t> words;  // a superset: words are not taken out when the pair leaves them
};

// From (left, right) to the position in a list of pairs; open addressing.
class PairIndex {
 public:
  // The pair's position, a new one at the end of `pairs` if it was not known.
  uint32_t of(int32_t left, int32_t right, std::vector<Pair>& pairs) {
    if (pairs.size() * 2 >= slots_.size()) grow(pairs);
    uint32_t& slot = slots_[position(left, right, pairs)];
    if (slot == kFree) {
      slot = static_cast<uint32_t>(pairs.size());
      pairs.push_back({left, right, 0, {}});
    }
    return slot;
  }

 private:
  static constexpr uint32_t kFree = 0xFFFFFFFF;

  size_t position(int32_t left, int32_t right, const std::vector<Pair>& pairs) const {
    const uint64_t key = static_cast<uint64_t>(left) << 32 | static_cast<uint64_t>(right);
    const size_t mask = slots_.size() - 1;
    size_t at = (key * 0x9E3779B97F4A7C15U >> 20) & mask;
    while (slots_[at] != kFree &&
           (pairs[slots_[at]].left != left || pairs[slots_[at]].right != right)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  void grow(const std::vector<Pair>& pairs) {
    slots_.assign(slots_.size() * 2, kFree);
    for (uint32_t i = 0; i < pairs.size(); ++i) {
      slots_[position(pairs[i].left, pairs[i].right, pairs)] = i;
    }
  }

  std::vector<uint32_t> slots_ = std::vector<uint32_t>(1 << 16, kFree);
};

// The texts as words of symbols, and the pairs in them.
class MergeLoop {
 public:
  MergeLoop(const std::vector<PieceCount>& pieces, const BpeTrainerOptions& options)
      : options_(options), queue_(Worse{this}) {
    for (int32_t byte = 0; byte < kBytes; ++byte)
      add_token(std::string(1, static_cast<char>(byte)));
    words_.reserve(pieces.size());
    for (const PieceCount& piece : pieces) {
      if (piece.piece.size() < 2) continue;
      words_.push_back({symbols_.size(), static_cast<uint32_t>(piece.piece.size()), piece.count});
      for (const char c : piece.piece) symbols_.push_back(static_cast<uint8_t>(c));
    }
    for (uint32_t w = 0; w < words_.size(); ++w) {
      const int32_t* symbol = symbols_.data() + words_[w].begin;
      for (uint32_t i = 0; i + 1 < words_[w].size; ++i) {
        change(symbol[i], symbol[i + 1], w, words_[w].count);
      }
    }
    push_touched();
  }

  // Makes the most frequent pair a token; false if none is left.
  bool merge_next() {
    while (!queue_.empty()) {
      const Candidate top = queue_.top();
      queue_.pop();
      Pair& pair = pairs_[top.pair];
      if (pair.count != top.count) {  // it lost occurrences since it was queued
        if (pair.count >= options_.min_count) queue_.push({pair.count, top.pair});
        continue;
      }
      std::string bytes = token_[index(pair.left)] + token_[index(pair.right)];
      const bool too_long = static_cast<int64_t>(bytes.size()) > options_.max_token_bytes;
      // Each token is built in one way only.
      if (too_long || known_.contains(bytes)) continue;
      merges_.emplace_back(token_[index(pair.left)], token_[index(pair.right)]);
      // Out of the table, which grows while they are visited.
      const std::vector<uint32_t> words = std::move(pair.words);
      merge(pair.left, pair.right, add_token(std::move(bytes)), words);
      push_touched();
      return true;
    }
    return false;
  }

  const std::vector<std::pair<std::string, std::string>>& merges() const { return merges_; }

 private:
  struct Word {
    size_t begin;  // in symbols_
    uint32_t size;
    int64_t count;
  };
  struct Candidate {
    int64_t count;
    uint32_t pair;
  };
  struct Worse {
    const MergeLoop* loop;
    bool operator()(const Candidate& a, const Candidate& b) const {
      if (a.count != b.count) return a.count < b.count;
      const Pair& x = loop->pairs_[a.pair];
      const Pair& y = loop->pairs_[b.pair];
      const int left = loop->token_[index(x.left)].compare(loop->token_[index(y.left)]);
      if (left != 0) return left > 0;
      return loop->token_[index(x.right)] > loop->token_[index(y.right)];
    }
  };

  static size_t index(int32_t token) { return static_cast<size_t>(token); }

  int32_t add_token(std::string bytes) {
    known_.insert(bytes);
    token_.push_back(std::move(bytes));
    return static_cast<int32_t>(token_.size()) - 1;
  }

  void change(int32_t left, int32_t right, uint32_t word, int64_t count) {
    const uint32_t at = index_.of(left, right, pairs_);
    Pair& pair = pairs_[at];
    pair.count += count;
    if (count < 0) return;
    if (pair.words.empty()) touched_.push_back(at);
    if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
  }

  // Only pairs that hold the newest token gain occurrences, so only those are queued anew; a pair
  // that lost some is put right when it comes up.
  void push_touched() {
    for (const uint32_t pair : touched_) {
      if (pairs_[pair].count >= options_.min_count) queue_.push({pairs_[pair].count, pair});
    }
    touched_.clear();
  }

  void merge(int32_t left, int32_t right, int32_t result, const std::vector<uint32_t>& words) {
    for (const uint32_t w : words) {
      Word& word = words_[w];
      int32_t* symbol = symbols_.data() + word.begin;
      uint32_t kept = 0;
      for (uint32_t i = 0; i < word.size; ++i) {
        if (symbol[i] != left || i + 1 == word.size || symbol[i + 1] != right) {
          symbol[kept++] = symbol[i];
          continue;
        }
        change(left, right, w, -word.count);
        if (kept > 0) {
          change(symbol[kept - 1], left, w, -word.count);
          change(symbol[kept - 1], result, w, word.count);
        }
        if (i + 2 < word.size) {
          change(right, symbol[i + 2], w, -word.count);
          change(result, symbol[i + 2], w, word.count);
        }
        symbol[kept++] = result;
        ++i;
      }
      word.size = kept;
    }
  }

  const BpeTrainerOptions options_;
  std::vector<std::string> token_;
  std::unordered_set<std::string> known_;
  std::vector<int32_t> symbols_;
  std::vector<Word> words_;
  std::vector<Pair> pairs_;
  PairIndex index_;
  std::vector<uint32_t> touched_;
  std::priority_queue<Candidate, std::vector<Candidate>, Worse> queue_;
  std::vector<std::pair<std::string, std::string>> merges_;
};

}  // namespace

int64_t smallest_trained_vocab_size() { return n_family_tokens() + kBytes; }

struct BpeTrainer::Impl {
  BpeTrainerOptions options;
  DeepseekScanner scanner;
  PieceCounter counter;

  Impl(const BpeTrainerOptions& o, ThreadPool& pool) : options(o), counter(scanner, pool) {}
};

BpeTrainer::BpeTrainer(BpeTrainerOptions options, ThreadPool& pool)
    : impl_(std::make_unique<Impl>(options, pool)) {
  require(options.vocab_size >= smallest_trained_vocab_size() &&
              options.vocab_size <= BpeModel::kMaxTokens,
          {.field = "vocab_size",
           .problem = "out of range",
           .found = options.vocab_size,
           .expected = {smallest_trained_vocab_size(), " to ", BpeModel::kMaxTokens},
           .advice = "it counts the 256 bytes and the family's tokens too"});
}
BpeTrainer::~BpeTrainer() = default;

void BpeTrainer::add(std::string_view text) { impl_->counter.add(text); }

TrainedTokenizer BpeTrainer::train() {
  const std::vector<PieceCount> pieces = impl_->counter.sorted_pieces();
  require(!pieces.empty(), {.place = "tokenizer",
                            .problem = "no text to train on",
                            .found = "0 bytes",
                            .expected = "some",
                            .advice = "name files with text"});
  MergeLoop loop(pieces, impl_->options);
  const int64_t wanted = impl_->options.vocab_size - smallest_trained_vocab_size();
  ProgressLine progress;
  int64_t done = 0;
  for (; done < wanted && loop.merge_next(); ++done) {
    if (done % 64 != 0) continue;
    if (interrupted()) throw Interrupted("tokenizer: interrupted; nothing was written");
    if (progress.due()) {
      const double part = static_cast<double>(done) / static_cast<double>(wanted);
      progress.show(concat("tokenizer  ", progress_bar(part, 24), "  ", done, " of ", wanted,
                           " merges from ", pieces.size(), " distinct pieces"));
    }
  }
  return trained_tokenizer_json(loop.merges());
}

}  // namespace hadal
