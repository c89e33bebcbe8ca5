#include "hadal/data/corpus_tokenizer.h"

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/data/content_hash.h"
#include "hadal/io/atomic_write.h"

namespace hadal {
namespace {

struct TokenizerFiles {
  std::string tokenizer_json, tokenizer_config_json;  // the second may be absent: ""
};

TokenizerFiles find_tokenizer_files(const std::string& source) {
  const bool is_folder = std::filesystem::is_directory(source);
  const std::string folder =
      is_folder ? source : std::filesystem::path(source).parent_path().string();
  TokenizerFiles files;
  files.tokenizer_json = is_folder ? source + "/tokenizer.json" : source;
  const std::string config = (folder.empty() ? "." : folder) + "/tokenizer_config.json";
  if (std::filesystem::exists(config)) files.tokenizer_config_json = config;
  return files;
}

}  // namespace

void train_corpus_tokenizer(const Corpus&, int64_t, const std::string&, ThreadPool&) {
  throw Unavailable("data.tokenizer: this build cannot train one; name a tokenizer.json");
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
