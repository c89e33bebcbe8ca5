#include "tests/support/generated_text.h"

#include <array>

#include "hadal/core/rng.h"

namespace hadal::test {

std::string generated_text(uint64_t seed, int64_t n_words) {
  // Any opening may be followed by any middle and any ending, so there is something to learn.
  static constexpr std::array kOpenings = {"the old sailor", "a quiet river", "every small lamp",
                                           "that tall tower"};
  static constexpr std::array kMiddles = {"watched over", "remembered", "slowly crossed",
                                          "never found"};
  static constexpr std::array kEndings = {"the harbour.\n", "its own shadow.\n", "seven bridges.\n",
                                          "the winter sea.\n"};
  Rng rng(seed);
  std::string text;
  for (int64_t words = 0; words < n_words; words += 6) {
    text += kOpenings[rng.uniform_below(kOpenings.size())];
    text += ' ';
    text += kMiddles[rng.uniform_below(kMiddles.size())];
    text += ' ';
    text += kEndings[rng.uniform_below(kEndings.size())];
  }
  return text;
}

}  // namespace hadal::test
