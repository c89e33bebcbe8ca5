#include "hadal/data/prepared_folder.h"

#include <filesystem>

#include "hadal/core/clock.h"
#include "hadal/core/error.h"
#include "hadal/data/corpus_tokenizer.h"
#include "hadal/data/document_tokens.h"
#include "hadal/data/pack_corpus.h"
#include "hadal/data/shard_batches.h"
#include "hadal/io/atomic_write.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFormatVersion = 2;  // counted up when the same input gives other tokens
// The held-out text as it is scored, for people and for the byte models it is compared with.
void write_validation_text(const Corpus& corpus, const std::string& path) {
  AtomicFile file(path);
  corpus.for_each(Split::kValidation, [&](const Document& document, const ContentHash&) {
    Json line = Json::object();
    line["name"] = document.name;
    line["text"] = document.text;
    file.write(line.dump() + "\n");
  });
  file.commit();
}

Json counts_json(const DataCounts& counts) {
  const CorpusCounts& c = counts.corpus;
  Json json = Json(Json::Object{{"files", c.files},
                                {"binary_files", c.binary_files},
                                {"empty_documents", c.empty_documents},
                                {"documents", c.documents},
                                {"bytes", c.bytes},
                                {"duplicates", c.duplicates},
                                {"duplicate_bytes", c.duplicate_bytes},
                                {"train_documents", c.train_documents},
                                {"train_bytes", c.train_bytes},
                                {"train_tokens", counts.train_tokens},
                                {"train_rows", counts.train_rows},
                                {"train_padding", counts.train_padding},
                                {"first_pass_rows", counts.first_pass_rows},
                                {"validation_documents", c.validation_documents},
                                {"validation_bytes", c.validation_bytes},
                                {"validation_tokens", counts.validation_tokens},
                                {"validation_rows", counts.validation_rows},
                                {"held_back_documents", c.held_back_documents}});
  if (!counts.source_tokens.empty()) json["source_tokens"] = Json::array_of(counts.source_tokens);
  if (!c.remarks.empty()) {
    json["remarks"] = Json::array();
    for (const std::string& line : c.remarks) json["remarks"].push_back(line);
  }
  return json;
}

// What was trained on before; null where nothing was. The data of that time are prepared again if
// they are gone.
std::unique_ptr<const ReadDocuments> documents_read(const ReadBefore* before, int32_t eos,
                                                    ThreadPool& pool) {
  if (!before) return nullptr;
  PreparedData data = prepare_data(before->config, pool);
  data.train->restore(before->position);  // or it is other data
  const TokenShards shards = TokenShards::open(data.folder, "train");
  return std::make_unique<ReadDocuments>(
      shards, rows_read(shards, data.counts.first_pass_rows, before->position), eos);
}

// Every split in full: shards are read until one is not there, so the next one is what is missing.
void check_rows(const std::string& folder, const std::string& name, const TokenShards& shards,
                int64_t expected) {
  if (shards.n_rows() == expected) return;
  const bool missing = shards.n_rows() < expected;
  throw FormatError(
      Complaint{.place = token_shard_path(folder, name, shards.n_shards() - (missing ? 0 : 1)),
                .problem = missing ? "missing" : "one too many",
                .found = {shards.n_rows(), " sequences in ", shards.n_shards(), " shards"},
                .expected = expected,
                .advice = "prepare the data again"});
}

uint64_t hash_of_file(const std::string& path) { return exact_hash(read_text_file(path)).low; }

}  // namespace

std::string source_files_hash(const std::vector<SourceFile>& files) {
  std::string list;
  for (const SourceFile& file : files) {
    list += concat(fs::absolute(file.path).lexically_normal().string(), '\0', file.bytes, '\0',
                   file.modified_ns, '\n');
  }
  return hex(exact_hash(list));
}

Json preparation_settings(const DataConfig& config, const std::vector<SourceFile>& files) {
  Json paths = Json::array();
  for (const std::string& path : config.paths) {
    paths.push_back(fs::absolute(path).lexically_normal().string());
  }
  Json settings = Json::object();
  settings["version"] = kFormatVersion;
  settings["paths"] = std::move(paths);
  settings["n_files"] = static_cast<int64_t>(files.size());
  settings["files_hash"] = source_files_hash(files);
  settings["text_field"] = config.corpus.source.text_field;
  // Written only where it is named: folders prepared from UTF-8 keep their names.
  if (!config.corpus.source.encoding.empty()) {
    settings["encoding"] = config.corpus.source.encoding;
  }
  settings["max_document_bytes"] = config.corpus.source.max_document_bytes;
  settings["dedup"] = config.corpus.dedup;
  settings["validation_fraction"] = config.corpus.validation_fraction;
  settings["max_validation_bytes"] = config.corpus.max_validation_bytes;
  settings["seq_len"] = config.seq_len;
  settings["fim_rate"] = config.fim_rate;
  settings["boundary_split_rate"] = config.boundary_split_rate;
  settings["seed"] = concat(config.seed);
  if (config.tokenizer.empty()) {
    settings["vocab_size"] = config.vocab_size;
  } else {
    settings["tokenizer_hash"] = tokenizer_files_hash(config.tokenizer);
  }
  if (config.corpus.source.repositories) settings["repositories"] = true;
  if (!config.shares.empty()) settings["shares"] = Json::array_of(config.shares);
  // Folders of versions that cut no document are not what is prepared now.
  if (config.corpus.source.repositories && !config.shares.empty()) settings["cut"] = "files";
  if (config.before) settings["before"] = config.before->position;
  return settings;
}

void build_prepared_folder(const std::string& folder, const DataConfig& config,
                           const std::vector<SourceFile>& files, const Json& settings,
                           ThreadPool& pool) {
  const Corpus corpus = Corpus::scan(files, config.corpus);
  require(corpus.counts().documents > 0,
          {.place = config.paths.front(),
           .problem = "no text in it",
           .found = {corpus.counts().binary_files, " binary and ", corpus.counts().empty_documents,
                     " empty files"},
           .advice = "give text files"});
  const std::string tokenizer_folder = folder + "/tokenizer";
  make_folders(tokenizer_folder);
  if (config.tokenizer.empty()) {
    train_corpus_tokenizer(corpus, config.vocab_size, tokenizer_folder, pool);
  } else {
    copy_tokenizer_files(config.tokenizer, tokenizer_folder);
  }
  // What is wrong in a given one is said of the file that was given, not of its copy.
  const Tokenizer tokenizer =
      Tokenizer::load(config.tokenizer.empty() ? tokenizer_folder : config.tokenizer);
  const ShardShape shape{tokenizer.vocab_size(), config.seq_len + 1,
                         hash_of_file(tokenizer_folder + "/tokenizer.json")};

  const DocumentEncoder train_encoder(tokenizer,
                                      {config.fim_rate, config.boundary_split_rate, config.seed});
  const DocumentEncoder plain_encoder(tokenizer, {});
  const auto read = documents_read(config.before.get(), train_encoder.eos(), pool);
  const PackedSplit train = pack_split(corpus, Split::kTrain, "train", folder, shape, train_encoder,
                                       {config.shares, read.get()}, pool);
  const PackedSplit validation =
      pack_split(corpus, Split::kValidation, "validation", folder, shape, plain_encoder, {}, pool);
  write_validation_text(corpus, folder + "/validation.jsonl");

  Json manifest = Json::object();
  manifest["format"] = "hadal prepared data";
  manifest["version"] = kFormatVersion;
  manifest["written"] = rfc3339_utc(unix_seconds());
  manifest["settings"] = settings;
  manifest["counts"] =
      counts_json({corpus.counts(), train.tokens, train.rows, train.padding, train.source_tokens,
                   train.unread_rows, validation.tokens, validation.rows});
  write_file_atomically(folder + "/manifest.json", manifest.dump(2) + "\n");
}

Json read_manifest(const std::string& folder) {
  const std::string path = folder + "/manifest.json";
  Json manifest = parse_json_file(path);
  const Json* format = manifest.find("format");
  const Json* version = manifest.find("version");
  if (!format || *format != Json("hadal prepared data") || !version || !version->is_integer() ||
      version->as_integer() != kFormatVersion) {
    throw FormatError(concat(path, ": not prepared data of this version (expected version ",
                             kFormatVersion, "); prepare the data again"));
  }
  return manifest;
}

DataCounts counts_of_manifest(const Json& manifest) {
  const Json& counts = manifest.at("counts");
  const auto number = [&](const char* key) { return counts.at(key).as_integer(); };
  DataCounts result;
  CorpusCounts& c = result.corpus;
  c.files = number("files");
  c.binary_files = number("binary_files");
  c.empty_documents = number("empty_documents");
  c.documents = number("documents");
  c.bytes = number("bytes");
  c.duplicates = number("duplicates");
  c.duplicate_bytes = number("duplicate_bytes");
  c.train_documents = number("train_documents");
  c.train_bytes = number("train_bytes");
  c.validation_documents = number("validation_documents");
  c.validation_bytes = number("validation_bytes");
  c.held_back_documents = number("held_back_documents");
  if (const Json* remarks = counts.find("remarks")) {
    for (const Json& line : remarks->as_array()) c.remarks.push_back(line.as_string());
  }
  result.train_tokens = number("train_tokens");
  result.train_rows = number("train_rows");
  result.train_padding = number("train_padding");
  // Folders of versions before phases do not say it.
  result.first_pass_rows =
      counts.find("first_pass_rows") ? number("first_pass_rows") : result.train_rows;
  if (const Json* tokens = counts.find("source_tokens")) {
    for (const Json& each : tokens->as_array()) result.source_tokens.push_back(each.as_integer());
  }
  result.validation_tokens = number("validation_tokens");
  result.validation_rows = number("validation_rows");
  return result;
}

DataConfig config_of_manifest(const Json& manifest) {
  const Json& settings = manifest.at("settings");
  DataConfig config;
  for (const Json& path : settings.at("paths").as_array()) config.paths.push_back(path.as_string());
  config.corpus.source.text_field = settings.at("text_field").as_string();
  if (const Json* encoding = settings.find("encoding")) {
    config.corpus.source.encoding = encoding->as_string();
  }
  config.corpus.source.repositories = settings.find("repositories") != nullptr;
  config.corpus.source.max_document_bytes = settings.at("max_document_bytes").as_integer();
  config.corpus.dedup = settings.at("dedup").as_bool();
  config.corpus.validation_fraction = settings.at("validation_fraction").as_number();
  config.corpus.max_validation_bytes = settings.at("max_validation_bytes").as_integer();
  return config;
}

PreparedData open_prepared_folder(const std::string& folder, uint64_t seed) {
  const Json manifest = read_manifest(folder);
  DataCounts counts;
  try {
    counts = counts_of_manifest(manifest);
  } catch (const FormatError& error) {
    throw FormatError(concat(folder, "/manifest.json: ", error.what(), "; prepare the data again"));
  }
  const std::string tokenizer_folder = folder + "/tokenizer";
  Tokenizer tokenizer = Tokenizer::load(tokenizer_folder);
  TokenShards train = TokenShards::open(folder, "train");
  TokenShards validation = TokenShards::open(folder, "validation");
  const uint64_t tokenizer_hash = hash_of_file(tokenizer_folder + "/tokenizer.json");
  for (const TokenShards* shards : {&train, &validation}) {
    if (shards->shape().tokenizer_hash != tokenizer_hash ||
        shards->shape().vocab_size != tokenizer.vocab_size()) {
      throw FormatError(folder +
                        ": its tokens belong to another tokenizer; prepare the data again");
    }
  }
  check_rows(folder, "train", train, counts.train_rows);
  check_rows(folder, "validation", validation, counts.validation_rows);
  if (!tokenizer.eos_id()) {
    throw FormatError(concat(tokenizer_folder, ": no end-of-text token; prepare the data again"));
  }
  const int32_t pad_id = *tokenizer.eos_id();
  return PreparedData{
      folder,
      tokenizer_folder,
      false,
      std::move(tokenizer),
      std::make_unique<ShardBatches>(std::move(train), counts.first_pass_rows, seed, pad_id),
      std::move(validation),
      counts,
      pad_id};
}

}  // namespace hadal
