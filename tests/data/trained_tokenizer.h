// tests/data/trained_tokenizer.h: a tokenizer of a few merges, written to a folder and read back.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hadal/core/thread_pool.h"
#include "hadal/data/bpe_trainer.h"
#include "hadal/data/tokenizer.h"

namespace hadal::test {

// Trained on each text so many times; `n_merges` at most.
inline Tokenizer trained_tokenizer(const std::string& folder, int64_t n_merges,
                                   const std::vector<std::pair<std::string, int>>& texts) {
  ThreadPool pool(1);
  BpeTrainerOptions options;
  options.vocab_size = smallest_trained_vocab_size() + n_merges;
  BpeTrainer trainer(options, pool);
  for (const auto& [text, times] : texts) {
    for (int i = 0; i < times; ++i) trainer.add(text);
  }
  write_tokenizer_folder(trainer.train(), folder);
  return Tokenizer::load(folder);
}

}  // namespace hadal::test
