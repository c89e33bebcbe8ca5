// infer/sampler.h: from logits to a token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hadal {

struct SamplingOptions {
  double temperature = 0.0;         // 0: greedy (argmax, lowest id on a tie)
  int64_t top_k = 0;                // 0: off
  double top_p = 1.0;               // keep the smallest set whose probability reaches top_p
  double min_p = 0.0;               // drop what is less probable than min_p times the best; 0: off
  double repetition_penalty = 1.0;  // divides positive, multiplies negative logits of seen tokens
  double presence_penalty = 0.0,
         frequency_penalty = 0.0;  // OpenAI's definition, generated tokens only
  uint64_t seed = 0;
  int64_t n_usable_ids = 0;                  // ids >= this are never chosen (padded rows); 0: all
  std::vector<int32_t> suppressed_ids = {};  // never chosen either
  void validate() const;                     // ConfigError naming the option
  // Whether of the ids that may be written some are left out for being improbable.
  bool cuts() const { return temperature == 0.0 || top_k > 0 || top_p < 1.0 || min_p > 0.0; }
  // The argmax of the logits as they are: no distribution needs to be formed.
  bool is_plain_greedy() const {
    return temperature == 0.0 && repetition_penalty == 1.0 && presence_penalty == 0.0 &&
           frequency_penalty == 0.0 && suppressed_ids.empty();
  }
};

// The distribution after penalties, temperature, top-k, top-p and min-p: probabilities that sum to 1.
// `history` = prompt and generated tokens; the last `n_generated` of it were generated.
std::vector<double> sampling_distribution(std::span<const float> logits,
                                          const SamplingOptions& options,
                                          std::span<const int32_t> history, int64_t n_generated);
// A token of distribution p, by the random numbers that belong to `seed` and `position`, a token's
// number in the answer, and to nothing else: whatever drafts it is asked for behind, it is the same.
// Like distributions mostly give like tokens, which is what lets drafts be drawn too (the race of
// arXiv:2408.07978).
int32_t draw(std::span<const double> p, uint64_t seed, int64_t position);
int32_t argmax(std::span<const float> logits, int64_t n_usable_ids);

// The next token behind `history` as the options say: argmax, or a draw from the distribution. Greedy
// without penalties, no distribution is formed. `candidates`, if wanted, becomes the ids that could
// have been drawn, ascending; empty when none was cut off.
int32_t choose_token(std::span<const float> logits, const SamplingOptions& options,
                     std::span<const int32_t> history, int64_t n_generated,
                     std::vector<int32_t>* candidates = nullptr);

}  // namespace hadal
