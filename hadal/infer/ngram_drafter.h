// infer/ngram_drafter.h: drafts from the text itself. Where its last tokens stood before, what
// followed them there is proposed: code being edited, quotations, names, tables. No model runs.
//
// The longest of the suffixes of 4, 3 and 2 tokens that stood before counts, in its latest place. For
// each length a table of places, by a hash of the tokens, is kept as tokens come: constant time and
// 24 to 48 bytes a token. Two suffixes of one hash share a place, the later one wins it; a place is
// compared with the text before it is believed.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace hadal {

class NgramDrafter {
 public:
  static constexpr int64_t kShortest = 2, kLongest = 4;

  // Takes up the tokens behind those seen before. REQUIRES that `tokens` begins with them.
  void observe(std::span<const int32_t> tokens);
  // What may follow `tokens`, all of which were observed: at most `most`, none if nothing stood
  // before. Where the earlier place runs into the end of the text, the repetition is taken to go on.
  std::vector<int32_t> propose(std::span<const int32_t> tokens, int64_t most) const;
  // Length of the suffix that stood before; 0: none.
  int64_t match_length() const { return match_length_; }

 private:
  // Places of suffixes of one length: of the token behind them, 0 = none.
  using Table = std::vector<int32_t>;
  void grow(std::span<const int32_t> tokens);

  std::array<Table, kLongest - kShortest + 1> tables_;
  int64_t n_seen_ = 0;
  int64_t match_length_ = 0, match_place_ = 0;
};

}  // namespace hadal
