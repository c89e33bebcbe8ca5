#include "hadal/data/corpus_tokenizer.h"

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/json.h"
#include "hadal/core/log.h"
#include "hadal/corpus/content_hash.h"
#include "hadal/data/bpe_trainer.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/model_files.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

struct TokenizerFiles {
  std::string tokenizer_json, tokenizer_config_json;  // the second may be absent: ""
};

TokenizerFiles find_tokenizer_files(const std::string& given) {
  const std::string source = model_folder(given);
  const bool in_folder = is_folder(source);
  const std::string folder =
      in_folder ? source : std::filesystem::path(source).parent_path().string();
  TokenizerFiles files;
  files.tokenizer_json = in_folder ? source + "/tokenizer.json" : source;
  const std::string config = (folder.empty() ? "." : folder) + "/tokenizer_config.json";
  if (path_exists(config)) files.tokenizer_config_json = config;
  return files;
}

}  // namespace

void train_corpus_tokenizer(const Corpus& corpus, int64_t vocab_size, const std::string& folder,
                            ThreadPool& pool) {
  BpeTrainerOptions options;
  options.vocab_size = vocab_size;
  BpeTrainer trainer(options, pool);
  ProgressLine progress;
  double done = 0.0;
  const auto total = static_cast<double>(corpus.counts().train_bytes);
  corpus.for_each(Split::kTrain, [&](const Document& document, const ContentHash&) {
    if (interrupted()) throw Interrupted("interrupted while preparing the data; nothing was kept");
    trainer.add(document.text);
    done += static_cast<double>(document.text.size());
    if (progress.due()) {
      progress.show(concat("counting words for the tokenizer ", progress_bar(done / total, 14)));
    }
  });
  write_tokenizer_folder(trainer.train(), folder);
}

void copy_tokenizer_files(const std::string& source, const std::string& folder) {
  const TokenizerFiles files = find_tokenizer_files(source);
  write_file_atomically(folder + "/tokenizer.json", read_text_file(files.tokenizer_json));
  if (!files.tokenizer_config_json.empty()) {
    write_file_atomically(folder + "/tokenizer_config.json",
                          read_text_file(files.tokenizer_config_json));
  }
}

std::string tokenizer_files_hash(const std::string& source) {
  const TokenizerFiles files = find_tokenizer_files(source);
  std::string hash = hex(exact_hash(read_text_file(files.tokenizer_json)));
  if (!files.tokenizer_config_json.empty()) {
    hash += hex(exact_hash(read_text_file(files.tokenizer_config_json)));
  }
  return hash;
}

}  // namespace hadal
