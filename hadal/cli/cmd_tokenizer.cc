// cli/cmd_tokenizer.cc: `hadal tokenizer train|encode|decode|info`
#include <algorithm>
#include <ctime>

#include "hadal/cli/commands.h"
#include "hadal/cli/sampling_flags.h"
#include "hadal/core/clock.h"
#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/core/thread_pool.h"
#include "hadal/core/utf8.h"
#include "hadal/corpus/document_source.h"
#include "hadal/data/bpe_trainer.h"
#include "hadal/data/tokenizer.h"

namespace hadal::cli {
namespace {

// ---- encode ----

struct EncodeOptions {
  std::string model, file, text;
  bool bench = false, no_added_tokens = false;
  bool text_given = false;  // an empty text is a text
};

void bind_encode(Flags& flags, EncodeOptions& o) {
  flags.example("hadal tokenizer encode --model DIR --text 'Hello!'", "the ids of a text");
  flags.example("hadal tokenizer encode --model DIR --file F --bench", "how fast a file encodes");
  flags.required("model,-m", o.model, "folder with tokenizer.json, or such a file");
  flags.option("file", o.file, "text to encode; - is the standard input");
  flags.option("text", o.text, "text to encode");
  flags.flag("no-added-tokens", o.no_added_tokens, "text that spells a control token stays text");
  flags.flag("bench", o.bench, "measure: repeat, print the speeds instead of the ids");
}

struct Speed {
  double median = 0.0, best = 0.0;
};

Speed speed_of(size_t bytes, std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const double mb = static_cast<double>(bytes) / 1e6;
  return {mb / seconds[seconds.size() / 2], mb / seconds.front()};
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Until two seconds have passed, at least five times; the first call warms the caches and is left
// out. Time of the clock, and of the processor: the second is fair on a busy machine.
template <class Work>
void measure(size_t bytes, const Work& work, Json& report) {
  constexpr double kSeconds = 2.0;
  constexpr size_t kFewest = 5;
  work();
  std::vector<double> wall, cpu;
  const double start = monotonic_seconds();
  while (wall.size() < kFewest || monotonic_seconds() - start < kSeconds) {
    const double wall_begin = monotonic_seconds(), cpu_begin = cpu_seconds();
    work();
    wall.push_back(std::max(monotonic_seconds() - wall_begin, 1e-9));
    cpu.push_back(std::max(cpu_seconds() - cpu_begin, 1e-6));
  }
  report["repetitions"] = static_cast<int64_t>(wall.size());
  const Speed by_clock = speed_of(bytes, wall), by_processor = speed_of(bytes, cpu);
  report["mb_per_s"] = by_clock.median;
  report["mb_per_s_best"] = by_clock.best;
  report["mb_per_cpu_s"] = by_processor.median;
  report["mb_per_cpu_s_best"] = by_processor.best;
}

int run_encode(const EncodeOptions& o, const CommonOptions& common, Output& out) {
  if (o.text_given != o.file.empty()) {
    throw ConfigError({.field = "--text",
                       .problem = o.text_given ? "given together with --file" : "no text",
                       .found = o.text_given ? "both" : "neither",
                       .expected = "one of --text and --file",
                       .advice = "give one"});
  }
  const Tokenizer tokenizer = Tokenizer::load(o.model);
  const std::string text = o.text_given ? o.text : read_text_argument(o.file);
  ThreadPool pool(common.threads);
  const auto encode = [&] {
    return pool.n_threads() == 1 ? tokenizer.encode(text, !o.no_added_tokens)
                                 : tokenizer.encode_parallel(text, pool, !o.no_added_tokens);
  };
  const std::vector<int32_t> ids = encode();
  Json report;
  if (o.bench) {
    report["bytes"] = static_cast<int64_t>(text.size());
    report["tokens"] = static_cast<int64_t>(ids.size());
    report["threads"] = pool.n_threads();
    measure(text.size(), encode, report);
    out.report(report);
    return 0;
  }
  Json::Array list;
  list.reserve(ids.size());
  std::string line;
  for (const int32_t id : ids) {
    if (out.json()) {
      list.emplace_back(id);
    } else {
      if (!line.empty()) line += ' ';
      line += std::to_string(id);
    }
  }
  if (out.json()) {
    report["ids"] = std::move(list);
    out.report(report);
  }
  out.text(line + "\n");
  return 0;
}

// ---- decode ----

struct DecodeOptions {
  std::string model, ids, file;
  bool skip_special = false;
};

void bind_decode(Flags& flags, DecodeOptions& o) {
  flags.example("hadal tokenizer decode --model DIR --ids '19923 3'", "the text of ids");
  flags.required("model,-m", o.model, "folder with tokenizer.json, or such a file");
  flags.option("ids", o.ids, "ids, separated by spaces or commas, or a JSON list");
  flags.option(
      "file", o.file,
      "file with ids in the same form, or the output of encode --json; - is the standard input");
  flags.flag("skip-special", o.skip_special, "leave special tokens out");
}

std::vector<int32_t> parse_ids(std::string_view text, const std::string& source,
                               int64_t vocab_size) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  const auto check = [&](int64_t id) {
    if (id >= 0 && id < vocab_size) return static_cast<int32_t>(id);
    throw FormatError(concat(source, ": no such token (found id ", id, ", expected 0 to ",
                             vocab_size - 1, "); use ids of this tokenizer"));
  };
  const auto no_list = [&](const auto&... found) {
    return FormatError(concat(source, ": not a list of ids (found ", found...,
                              ", expected whole numbers); separate ids by spaces or commas"));
  };
  std::vector<int32_t> ids;
  if (first != std::string_view::npos && (text[first] == '[' || text[first] == '{')) {
    const Json document = parse_json(text, source);
    const Json* list = document.is_object() ? document.find("ids") : &document;
    if (list == nullptr || !list->is_array()) throw no_list("no \"ids\"");
    for (const Json& id : list->as_array()) {
      ids.push_back(id.is_integer() ? check(id.as_integer()) : throw no_list(id.type_name()));
    }
    return ids;
  }
  for (size_t at = 0; (at = text.find_first_not_of(", \t\r\n", at)) != text.npos;) {
    int64_t id = 0;
    size_t digits = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9' && digits < 12; ++digits) {
      id = id * 10 + (text[at++] - '0');
    }
    if (digits == 0) throw no_list("byte ", int{static_cast<uint8_t>(text[at])}, " at offset ", at);
    ids.push_back(check(id));
  }
  return ids;
}

int run_decode(const DecodeOptions& o, const CommonOptions&, Output& out) {
  if (o.ids.empty() == o.file.empty()) {
    throw ConfigError({.field = "--ids",
                       .problem = o.ids.empty() ? "no ids" : "given together with --file",
                       .found = o.ids.empty() ? "neither" : "both",
                       .expected = "one of --ids and --file",
                       .advice = "give one"});
  }
  const Tokenizer tokenizer = Tokenizer::load(o.model);
  const bool from_file = !o.file.empty();
  const std::vector<int32_t> ids = parse_ids(from_file ? read_bytes_argument(o.file) : o.ids,
                                             from_file ? o.file : "--ids", tokenizer.vocab_size());
  const std::string text = tokenizer.decode(ids, o.skip_special);
  Json report;
  report["text"] = repair_utf8(text);  // JSON holds no cut characters
  if (out.json()) out.report(report);
  out.text(text);
  return 0;
}

// ---- info ----

struct InfoOptions {
  std::string model;
};

void bind_info(Flags& flags, InfoOptions& o) {
  flags.example("hadal tokenizer info --model DIR", "size and control tokens");
  flags.required("model,-m", o.model, "folder with tokenizer.json, or such a file");
}

int run_info(const InfoOptions& o, const CommonOptions&, Output& out) {
  const double begin = monotonic_seconds();
  const Tokenizer tokenizer = Tokenizer::load(o.model);
  const double seconds = monotonic_seconds() - begin;
  size_t longest = 0;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    longest = std::max(longest, tokenizer.token_bytes(id).size());
  }
  const auto id_or_null = [](std::optional<int32_t> id) { return id ? Json(*id) : Json(); };
  Json added = Json::array();
  for (const AddedToken& token : tokenizer.added_tokens()) {
    added.push_back(
        Json::Object{{"id", token.id}, {"token", token.content}, {"special", token.special}});
  }
  Json report;
  report["vocab_size"] = tokenizer.vocab_size();
  report["added_tokens"] = static_cast<int64_t>(tokenizer.added_tokens().size());
  report["longest_token_bytes"] = static_cast<int64_t>(longest);
  report["bos_id"] = id_or_null(tokenizer.bos_id());
  report["eos_id"] = id_or_null(tokenizer.eos_id());
  report["add_bos"] = tokenizer.add_bos();
  report["fill_in_middle"] = tokenizer.fim_tokens().has_value();
  report["load_seconds"] = seconds;
  report["tokens_added"] = std::move(added);
  out.report(report);
  return 0;
}

// ---- train ----

struct TokenizerTrainOptions {
  std::vector<std::string> data;
  SourceOptions source;
  std::string out;
  int64_t vocab_size = 4096;
};

void bind_train(Flags& flags, TokenizerTrainOptions& o) {
  flags.example("hadal tokenizer train --data texts/ --vocab-size 4096 --out tok",
                "a vocabulary of 4096 ids from a folder of texts");
  flags.option("data", o.data, "files, folders or patterns; may be given several times");
  flags.option("encoding", o.source.encoding, "of the files: latin-1, cp1252 (default: UTF-8)");
  flags.option("vocab-size", o.vocab_size, "all ids, with the 256 bytes and the control tokens");
  flags.required("out", o.out, "folder for tokenizer.json and tokenizer_config.json");
}

int run_train(const TokenizerTrainOptions& o, const CommonOptions& common, Output& out) {
  require(!o.data.empty(), {.field = "--data",
                            .problem = "missing",
                            .found = "no path",
                            .expected = "files or folders",
                            .advice = "name what to train on"});
  ThreadPool pool(common.threads);
  BpeTrainer trainer({.vocab_size = o.vocab_size}, pool);
  const double begin = monotonic_seconds();
  int64_t documents = 0, bytes = 0;
  {
    ProgressLine progress;
    const auto source = open_sources(list_source_files(o.data), o.source);
    while (const auto document = source->next()) {
      trainer.add(document->text);
      ++documents;
      bytes += static_cast<int64_t>(document->text.size());
      if (!progress.due()) continue;
      progress.show(concat("tokenizer  reading ", human_bytes(static_cast<double>(bytes)), " in ",
                           documents, " documents"));
    }
    SourceRemarks::say(source->counts().remarks.lines());
  }
  const TrainedTokenizer trained = trainer.train();
  write_tokenizer_folder(trained, o.out);
  if (trained.vocab_size < o.vocab_size) {
    log_warning("--vocab-size: the texts hold too few frequent pairs (found ", trained.vocab_size,
                " tokens, expected ", o.vocab_size, "); give more text");
  }
  Json report;
  report["documents"] = documents;
  report["bytes"] = bytes;
  report["vocab_size"] = trained.vocab_size;
  report["seconds"] = monotonic_seconds() - begin;
  report["tokenizer"] = o.out;
  out.report(report);
  return 0;
}

}  // namespace

Command make_tokenizer_train_command() {
  return define_command<TokenizerTrainOptions>(
      "tokenizer train", "train a byte-level BPE tokenizer", bind_train, run_train);
}
Command make_tokenizer_encode_command() {
  const auto options = std::make_shared<EncodeOptions>();
  return {"tokenizer encode", "a text as token ids",
          [options](Flags& flags) { bind_encode(flags, *options); },
          [options](const CommonOptions& common, const Flags& flags, Output& out) {
            options->text_given = flags.given("text");
            return run_encode(*options, common, out);
          }};
}
Command make_tokenizer_decode_command() {
  return define_command<DecodeOptions>("tokenizer decode", "token ids as text", bind_decode,
                                       run_decode);
}
Command make_tokenizer_info_command() {
  return define_command<InfoOptions>("tokenizer info", "describe a tokenizer", bind_info, run_info);
}

}  // namespace hadal::cli
