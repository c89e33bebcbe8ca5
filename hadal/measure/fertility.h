// measure/fertility.h: how many tokens a tokenizer makes of a word and of a character. One that saw little
// of a language makes more of them, and a model pays for each: a bilingual tokenizer is judged by both.
#pragma once

#include <vector>

#include "hadal/core/thread_pool.h"
#include "hadal/corpus/corpus.h"
#include "hadal/data/tokenizer.h"

namespace hadal {

struct Fertility {
  int64_t bytes = 0, characters = 0;
  int64_t words = 0;  // between white space: says nothing of a language that writes none
  int64_t tokens = 0;

  double tokens_per_word() const;  // 0 where there is none
  double tokens_per_character() const;
  double bytes_per_token() const;
};

// Of the training documents of each of `n_paths` paths (Document::argument).
std::vector<Fertility> fertility(const Corpus& corpus, size_t n_paths, const Tokenizer& tokenizer,
                                 ThreadPool& pool);

}  // namespace hadal
