// cli/cmd_data.cc: `hadal data fetch|stats|dedup|pack`
#include "hadal/cli/commands.h"
#include "hadal/core/interrupt.h"
#include "hadal/corpus/default_corpora.h"
#include "hadal/data/dataset.h"
#include "hadal/io/atomic_write.h"
#include "hadal/measure/fertility.h"

namespace hadal::cli {
namespace {

// Options shared by the verbs that read documents.
void bind_sources(Flags& flags, std::vector<std::string>& paths, SourceOptions& options) {
  flags.positional("PATHS", paths, "files, folders (recursive) or quoted patterns");
  flags.option("text-field", options.text_field,
               "field of a JSON lines record that holds the text");
  flags.option("encoding", options.encoding,
               "of the files, as iconv names it: latin-1, cp1252 (default: UTF-8)");
  flags.option("max-document-bytes", options.max_document_bytes,
               "a longer document is an error; bounds what an archive may grow to");
}

struct FetchOptions {
  std::string name;
  std::string cache;
  bool print_path = false;
};

void bind_fetch(Flags& flags, FetchOptions& o) {
  flags.library_names({{"data", "--data"}});
  flags.example("hadal data fetch debian-docs",
                "35 MB of English documentation, the default corpus");
  std::string names;
  for (const DefaultCorpus& corpus : default_corpora()) {
    names += (names.empty() ? "" : ", ") + corpus.name + " (" + corpus.summary + ")";
  }
  flags.positional("NAME", o.name, names);
  flags.flag("print-path", o.print_path, "print where the text is and nothing else, for scripts");
  flags.option("cache", o.cache, "cache folder (default: $XDG_CACHE_HOME/hadal)");
}

int run_fetch(const FetchOptions& o, const CommonOptions&, Output& out) {
  catch_interrupts();
  const DefaultCorpus& corpus = find_default_corpus(o.name);
  const FetchedCorpus fetched =
      fetch_default_corpus(corpus, o.cache.empty() ? hadal_cache_folder() : o.cache);
  if (o.print_path) out.text(fetched.folder + "\n");
  if (o.print_path && !out.json()) return 0;
  Json report = Json::object();
  report["name"] = corpus.name;
  report["path"] = fetched.folder;
  report["licence"] = corpus.licence;
  report["packages"] = fetched.packages;
  report["fetched_bytes"] = fetched.fetched_bytes;
  report["documents"] = fetched.documents;
  report["bytes"] = fetched.bytes;
  report["tokens"] = nullptr;  // a tokenizer is chosen later
  report["duplicates"] = fetched.duplicates;
  report["reused"] = fetched.reused;
  out.report(report);
  return 0;
}

struct StatsOptions {
  std::vector<std::string> paths;
  SourceOptions source;
  std::string tokenizer;
};

void bind_stats(Flags& flags, StatsOptions& o) {
  flags.example("hadal data stats notes/ 'logs/*.jsonl.zst'", "what is in there");
  flags.example("hadal data stats english/ chinese/ --tokenizer DIR",
                "tokens for a word and for a character of each");
  bind_sources(flags, o.paths, o.source);
  flags.option("tokenizer", o.tokenizer, "tokenizer.json or its folder: counts tokens too");
}

Json corpus_report(const CorpusCounts& counts) {
  Json report = Json::object();
  report["files"] = counts.files;
  report["binary_files_skipped"] = counts.binary_files;
  report["empty_documents_skipped"] = counts.empty_documents;
  report["documents"] = counts.documents;
  report["bytes"] = counts.bytes;
  report["duplicates"] = counts.duplicates;
  report["duplicate_bytes"] = counts.duplicate_bytes;
  return report;
}

int run_stats(const StatsOptions& o, const CommonOptions& common, Output& out) {
  catch_interrupts();
  CorpusOptions options;
  options.source = o.source;
  options.validation_fraction = 0.0;
  const Corpus corpus = Corpus::scan(list_source_files(o.paths), options);
  Json report = corpus_report(corpus.counts());
  report["tokens"] = nullptr;
  if (!o.tokenizer.empty()) {
    ThreadPool pool(common.threads);
    const Tokenizer tokenizer = Tokenizer::load(o.tokenizer);
    int64_t tokens = 0;
    Json paths = Json::array();
    for (const Fertility& each : fertility(corpus, o.paths.size(), tokenizer, pool)) {
      tokens += each.tokens;
      Json path = Json::object();
      path["path"] = o.paths[paths.as_array().size()];
      path["tokens"] = each.tokens;
      path["bytes_per_token"] = each.bytes_per_token();
      path["tokens_per_word"] = each.tokens_per_word();
      path["tokens_per_character"] = each.tokens_per_character();
      paths.push_back(std::move(path));
    }
    report["fertility"] = std::move(paths);
    report["tokens"] = tokens;
    report["bytes_per_token"] =
        tokens > 0 ? static_cast<double>(corpus.counts().bytes) / static_cast<double>(tokens) : 0.0;
  }
  out.report(report);
  return 0;
}

struct DedupOptions {
  std::vector<std::string> paths;
  SourceOptions source;
  std::string out;
};

void bind_dedup(Flags& flags, DedupOptions& o) {
  flags.example("hadal data dedup crawl/ --out unique.jsonl",
                "one JSON line per different document");
  bind_sources(flags, o.paths, o.source);
  flags.required("out", o.out, "JSON lines file to write: name and text of each document kept");
}

int run_dedup(const DedupOptions& o, const CommonOptions&, Output& out) {
  catch_interrupts();
  CorpusOptions options;
  options.source = o.source;
  options.validation_fraction = 0.0;
  const Corpus corpus = Corpus::scan(list_source_files(o.paths), options);
  AtomicFile file(o.out);
  corpus.for_each(Split::kTrain, [&](const Document& document, const ContentHash&) {
    Json line = Json::object();
    line["name"] = document.name;
    line["text"] = document.text;
    file.write(line.dump() + "\n");
  });
  file.commit();
  Json report = corpus_report(corpus.counts());
  report["tokens"] = nullptr;
  report["out"] = o.out;
  out.report(report);
  return 0;
}

struct PackOptions {
  DataConfig config;
  bool keep_duplicates = false;
};

void bind_pack(Flags& flags, PackOptions& o) {
  flags.example("hadal data pack notes/ --seq-len 1024 --vocab-size 8192",
                "prepare what `hadal train` would");
  bind_sources(flags, o.config.paths, o.config.corpus.source);
  flags.option("tokenizer", o.config.tokenizer,
               "tokenizer.json or its folder (default: train one on the text)");
  flags.option("vocab-size", o.config.vocab_size, "size of the tokenizer to train");
  flags.option("seq-len", o.config.seq_len, "tokens of one training sequence");
  flags.option("fim-rate", o.config.fim_rate, "share of the documents cut for fill-in-the-middle");
  flags.option("boundary-split-rate", o.config.boundary_split_rate,
               "share of the tokens that join punctuation and line breaks which are cut in two");
  flags.option("validation-fraction", o.config.corpus.validation_fraction,
               "share of the documents never trained on");
  flags.option("max-validation-bytes", o.config.corpus.max_validation_bytes,
               "held-out text to score at most");
  flags.flag("keep-duplicates", o.keep_duplicates, "train on every copy of a document");
  flags.option("out", o.config.cache_dir,
               "folder of prepared data (default: $XDG_CACHE_HOME/hadal/prepared)");
}

int run_pack(const PackOptions& o, const CommonOptions& common, Output& out) {
  catch_interrupts();
  DataConfig config = o.config;
  config.seed = common.seed;
  config.corpus.dedup = !o.keep_duplicates;
  ThreadPool pool(common.threads);
  const PreparedData data = prepare_data(config, pool);
  const DataCounts& counts = data.counts;
  Json report = corpus_report(counts.corpus);
  report["folder"] = data.folder;
  report["reused"] = data.reused;
  report["tokens"] = counts.train_tokens + counts.validation_tokens;
  report["train_documents"] = counts.corpus.train_documents;
  report["train_tokens"] = counts.train_tokens;
  report["train_sequences"] = counts.train_rows;
  report["train_padding"] = counts.train_padding;
  report["validation_documents"] = counts.corpus.validation_documents;
  report["validation_bytes"] = counts.corpus.validation_bytes;
  report["validation_tokens"] = counts.validation_tokens;
  report["validation_sequences"] = counts.validation_rows;
  report["held_back_documents"] = counts.corpus.held_back_documents;
  out.report(report);
  return 0;
}

}  // namespace

Command make_data_fetch_command() {
  return define_command<FetchOptions>(
      "data fetch", "fetch a default corpus of documentation or code", bind_fetch, run_fetch);
}

Command make_data_stats_command() {
  return define_command<StatsOptions>("data stats", "count documents, bytes, duplicates and tokens",
                                      bind_stats, run_stats);
}

Command make_data_dedup_command() {
  return define_command<DedupOptions>("data dedup", "write every different document once",
                                      bind_dedup, run_dedup);
}

Command make_data_pack_command() {
  return define_command<PackOptions>("data pack", "tokenise and pack text into training sequences",
                                     bind_pack, run_pack);
}

}  // namespace hadal::cli
