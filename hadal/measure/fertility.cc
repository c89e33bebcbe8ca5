#include "hadal/measure/fertility.h"

#include "hadal/corpus/white_space.h"

namespace hadal {
namespace {

double ratio(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

}  // namespace

double Fertility::tokens_per_word() const { return ratio(tokens, words); }
double Fertility::tokens_per_character() const { return ratio(tokens, characters); }
double Fertility::bytes_per_token() const { return ratio(bytes, tokens); }

std::vector<Fertility> fertility(const Corpus& corpus, size_t n_paths, const Tokenizer& tokenizer,
                                 ThreadPool& pool) {
  std::vector<Fertility> result(n_paths);
  corpus.for_each(Split::kTrain, [&](const Document& document, const ContentHash&) {
    Fertility& path = result[static_cast<size_t>(document.argument)];
    path.bytes += static_cast<int64_t>(document.text.size());
    bool in_word = false;
    for (const char c : document.text) {
      const bool continues = (static_cast<unsigned char>(c) & 0xC0) == 0x80;  // of a character
      path.characters += continues ? 0 : 1;
      const bool blank = is_space(c);
      if (!blank && !in_word) ++path.words;
      in_word = !blank;
    }
    path.tokens +=
        static_cast<int64_t>(tokenizer.encode_parallel(document.text, pool, false).size());
  });
  return result;
}

}  // namespace hadal
