#include "hadal/data/trained_tokenizer_json.h"

#include <filesystem>
#include <iterator>

#include "hadal/core/json.h"
#include "hadal/data/byte_level.h"
#include "hadal/data/pre_tokenizer.h"
#include "hadal/io/atomic_write.h"

namespace hadal {
namespace {

struct FamilyToken {
  const char* content;
  bool special;
};

// As in DeepSeek-V3's file: the first three open the vocabulary, the others follow it.
constexpr FamilyToken kFirst[] = {
    {"<｜begin▁of▁sentence｜>", true}, {"<｜end▁of▁sentence｜>", true}, {"<｜▁pad▁｜>", true}};
constexpr FamilyToken kLast[] = {{"<｜fim▁hole｜>", false},
                                 {"<｜fim▁begin｜>", false},
                                 {"<｜fim▁end｜>", false},
                                 {"<｜User｜>", false},
                                 {"<｜Assistant｜>", false},
                                 {"<|EOT|>", true},
                                 {"<｜tool▁calls▁begin｜>", false},
                                 {"<｜tool▁calls▁end｜>", false},
                                 {"<｜tool▁call▁begin｜>", false},
                                 {"<｜tool▁call▁end｜>", false},
                                 {"<｜tool▁outputs▁begin｜>", false},
                                 {"<｜tool▁outputs▁end｜>", false},
                                 {"<｜tool▁output▁begin｜>", false},
                                 {"<｜tool▁output▁end｜>", false},
                                 {"<｜tool▁sep｜>", false}};

Json added_token(const FamilyToken& token, int64_t id, bool normalized) {
  return Json::Object{
      {"id", id},        {"content", token.content}, {"single_word", false},    {"lstrip", false},
      {"rstrip", false}, {"normalized", normalized}, {"special", token.special}};
}

Json pre_tokenizer() {
  Json stages = Json::array();
  for (const char* pattern : kDeepseekPatterns) {
    stages.push_back(Json::Object{{"type", "Split"},
                                  {"pattern", Json::Object{{"Regex", pattern}}},
                                  {"behavior", "Isolated"},
                                  {"invert", false}});
  }
  stages.push_back(Json::Object{{"type", "ByteLevel"},
                                {"add_prefix_space", false},
                                {"trim_offsets", true},
                                {"use_regex", false}});
  return Json::Object{{"type", "Sequence"}, {"pretokenizers", stages}};
}

Json byte_level() {
  return Json::Object{{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", false},
                      {"use_regex", false}};
}

}  // namespace

int64_t n_family_tokens() { return static_cast<int64_t>(std::size(kFirst) + std::size(kLast)); }

TrainedTokenizer trained_tokenizer_json(
    const std::vector<std::pair<std::string, std::string>>& merges) {
  Json::Array added, merge_lines;
  Json::Object vocab;
  int64_t id = 0;
  for (const FamilyToken& token : kFirst) {
    added.push_back(added_token(token, id, false));
    vocab.emplace_back(token.content, id++);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    vocab.emplace_back(to_byte_level({&c, 1}), id++);
  }
  for (const auto& [left, right] : merges) {
    const std::string l = to_byte_level(left), r = to_byte_level(right);
    vocab.emplace_back(l + r, id++);
    merge_lines.emplace_back(l + " " + r);
  }
  for (const FamilyToken& token : kLast) added.push_back(added_token(token, id++, true));

  const Json model = Json::Object{{"type", "BPE"},
                                  {"dropout", nullptr},
                                  {"unk_token", nullptr},
                                  {"continuing_subword_prefix", nullptr},
                                  {"end_of_word_suffix", nullptr},
                                  {"fuse_unk", false},
                                  {"byte_fallback", false},
                                  {"vocab", std::move(vocab)},
                                  {"merges", std::move(merge_lines)}};
  const Json document = Json::Object{{"version", "1.0"},
                                     {"truncation", nullptr},
                                     {"padding", nullptr},
                                     {"added_tokens", std::move(added)},
                                     {"normalizer", nullptr},
                                     {"pre_tokenizer", pre_tokenizer()},
                                     {"post_processor", byte_level()},
                                     {"decoder", byte_level()},
                                     {"model", model}};
  const Json config = Json::Object{{"add_bos_token", true},
                                   {"add_eos_token", false},
                                   {"bos_token", kFirst[0].content},
                                   {"eos_token", kFirst[1].content},
                                   {"pad_token", kFirst[2].content},
                                   {"clean_up_tokenization_spaces", false},
                                   {"tokenizer_class", "PreTrainedTokenizerFast"}};
  return {document.dump(1) + "\n", config.dump(2) + "\n", id};
}

void write_tokenizer_folder(const TrainedTokenizer& tokenizer, const std::string& folder) {
  make_folders(folder);
  const std::filesystem::path path(folder);
  write_file_atomically((path / "tokenizer_config.json").string(), tokenizer.config_json);
  write_file_atomically((path / "tokenizer.json").string(), tokenizer.tokenizer_json);
}

}  // namespace hadal
