// measure/needle.h: does a model find one sentence in a long text? ("needle in a haystack")
//
// A sentence with a number of seven digits stands at some depth of a filler text; the prompt ends with
// that sentence's beginning. Two answers are taken:
//   found   greedy decoding writes the number, digit for digit
//   rank    how many of kCandidates - 1 other numbers of the same form are more probable than the one in
//           the text: 0 is best; a model that has not read it is right once in kCandidates times
// The second says something of models that are too small or too little trained for the first.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "hadal/infer/latent_pages.h"
#include "hadal/infer/text_model.h"

namespace hadal {

inline constexpr int64_t kNeedleCandidates = 10;

struct NeedleOptions {
  std::vector<int64_t> contexts;  // tokens of the whole prompt
  std::vector<double> depths;     // 0: the text begins with the sentence; 1: it ends with it
  int64_t trials = 2;             // with other numbers, for each cell
  LatentForm cache = LatentForm::kBF16;
  uint64_t seed = 1;
  std::function<bool(double fraction)> on_progress = {};  // false: give up
};

struct NeedleCell {
  int64_t context = 0;
  double depth = 0;
  int64_t trials = 0, found = 0,
          first_rank = 0;  // of the trials: found; the true number ranked first
  double mean_rank = 0;
  double logprob = 0;  // of the true number, mean of the trials
};

// Cell by cell, contexts outside. ConfigError when a context is longer than the model's positions or too
// short for the sentence. The cells are all there, or those finished when on_progress gave up.
std::vector<NeedleCell> find_needles(TextModel& text_model, const NeedleOptions& options);

// The prompt of a trial: ids, and the answer's.
struct NeedlePrompt {
  std::vector<int32_t> ids, answer;
};
NeedlePrompt needle_prompt(const TextModel& text_model, int64_t context, double depth,
                           const std::string& number);

}  // namespace hadal
