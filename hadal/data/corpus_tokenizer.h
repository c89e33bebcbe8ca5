// data/corpus_tokenizer.h: the tokenizer of a prepared data folder: trained on the training split,
// or copied from where the user keeps it.
#pragma once

#include <string>

#include "hadal/core/thread_pool.h"
#include "hadal/corpus/corpus.h"

namespace hadal {

// Writes tokenizer.json and tokenizer_config.json. Held-out text is not looked at.
void train_corpus_tokenizer(const Corpus& corpus, int64_t vocab_size, const std::string& folder,
                            ThreadPool& pool);

// `source` is a tokenizer.json or a folder that holds one; tokenizer_config.json comes along.
void copy_tokenizer_files(const std::string& source, const std::string& folder);
std::string tokenizer_files_hash(const std::string& source);  // of both, as hexadecimal digits

}  // namespace hadal
