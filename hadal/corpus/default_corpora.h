// corpus/default_corpora.h: text that every Debian mirror carries, for a machine that has no data
// of its own: documentation packages, fetched without privileges and cleaned to one text file a
// document.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hadal {

// What of a package is text: files whose name without .gz ends with one of `endings` and whose path
// holds none of `not_in`.
struct CorpusPackage {
  std::string name;
  std::vector<std::string_view> endings, not_in;
};

struct DefaultCorpus {
  std::string name, summary, licence;
  std::vector<CorpusPackage> packages;
};

const std::vector<DefaultCorpus>& default_corpora();
const DefaultCorpus& find_default_corpus(const std::string& name);  // ConfigError lists the names

struct FetchedCorpus {
  std::string folder;  // one .txt a document, below a folder per package
  bool reused = false;
  int64_t packages = 0, fetched_bytes = 0;
  int64_t documents = 0, bytes = 0, duplicates = 0;
};

// Into CACHE/data/NAME. Packages already downloaded are kept when it is run again after a failure;
// a finished corpus is returned as it is. Unavailable without apt-get, IoError without a mirror.
FetchedCorpus fetch_default_corpus(const DefaultCorpus& corpus, const std::string& cache_folder);

}  // namespace hadal
