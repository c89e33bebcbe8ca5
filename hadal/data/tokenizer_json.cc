#include "hadal/data/tokenizer_json.h"

#include <simdjson.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/data/byte_level.h"
#include "hadal/data/tokenizer_json_field.h"
#include "hadal/data/tokenizer_post_processor.h"

namespace hadal {
namespace {

namespace dom = simdjson::dom;
using Field = TokenizerJsonField;

constexpr size_t kMaxAddedTokenBytes = 4096;
constexpr size_t kMaxStages = 64;

// From a token as the file writes it to its id: open addressing over hashes, compared in full.
class TokenIndex {
 public:
  explicit TokenIndex(size_t tokens) : slots_(std::bit_ceil(std::max<size_t>(tokens * 2, 16))) {}

  bool insert(std::string_view token, int32_t id) {
    Slot& slot = slots_[slot_of(token)];
    if (slot.text.data() != nullptr) return false;
    slot = {token, id};
    return true;
  }
  int32_t find(std::string_view token) const { return slots_[slot_of(token)].id; }  // -1: none

 private:
  struct Slot {
    std::string_view text;
    int32_t id = -1;
  };
  size_t slot_of(std::string_view token) const {
    const size_t mask = slots_.size() - 1;
    size_t at = XXH3_64bits(token.data(), token.size()) & mask;
    while (slots_[at].text.data() != nullptr && slots_[at].text != token) at = (at + 1) & mask;
    return at;
  }
  std::vector<Slot> slots_;
};

void read_normalizer(const Field& root) {
  if (!root.has("normalizer")) return;
  const Field normalizer = root.at("normalizer");
  if (normalizer.at("type").string() != "Sequence") normalizer.not_supported("null");
  if (normalizer.at("normalizers").array().size() != 0) {
    normalizer.at("normalizers").not_supported("an empty list");
  }
}

void read_byte_level(const Field& field, std::vector<SplitStage>& stages) {
  check_byte_level(field);
  field.expect("add_prefix_space", false);
  // Absent means true in files written before the switch existed.
  if (field.has("use_regex") && !field.at("use_regex").boolean()) return;
  stages.push_back({R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
                    field.path()});
}

std::string quote_for_regex(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\^$.[]|()?*+{}-&#/").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

void read_pre_tokenizer(const Field& field, std::vector<SplitStage>& stages, bool& byte_level) {
  if (byte_level) field.not_supported("nothing after ByteLevel");
  if (stages.size() >= kMaxStages) field.not_supported(concat("at most ", kMaxStages, " stages"));
  const std::string_view type = field.at("type").string();
  if (type == "Split") {
    field.allow_only({"type", "pattern", "behavior", "invert"});
    field.expect_string("behavior", "Isolated");
    field.expect("invert", false);
    const Field pattern = field.at("pattern");
    pattern.allow_only({"Regex", "String"});
    if (pattern.object().size() != 1) pattern.wrong_type("one of Regex and String");
    if (pattern.has("Regex")) {
      stages.push_back({std::string(pattern.at("Regex").string()), pattern.path()});
    } else {
      stages.push_back({quote_for_regex(pattern.at("String").string()), pattern.path()});
    }
  } else if (type == "Digits") {
    field.allow_only({"type", "individual_digits"});
    stages.push_back(
        {field.at("individual_digits").boolean() ? R"(\p{N})" : R"(\p{N}+)", field.path()});
  } else if (type == "ByteLevel") {
    read_byte_level(field, stages);
    byte_level = true;
  } else {
    field.at("type").not_supported("Split, Digits, ByteLevel or a Sequence of them");
  }
}

std::vector<SplitStage> read_pre_tokenizers(const Field& root) {
  std::vector<SplitStage> stages;
  bool byte_level = false;
  const Field field = root.at("pre_tokenizer");
  if (!root.has("pre_tokenizer")) field.not_supported("a ByteLevel pre-tokenizer");
  if (field.at("type").string() == "Sequence") {
    for (const Field& item : field.at("pretokenizers").items()) {
      read_pre_tokenizer(item, stages, byte_level);
    }
  } else {
    read_pre_tokenizer(field, stages, byte_level);
  }
  if (!byte_level) field.not_supported("ByteLevel as the last stage");
  return stages;
}

void read_added_tokens(const Field& root, TokenizerDefinition& out) {
  if (!root.has("added_tokens")) return;
  std::unordered_set<int32_t> ids;
  std::unordered_set<std::string_view> contents;
  for (const Field& item : root.at("added_tokens").items()) {
    item.allow_only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    const auto flag = [&](const char* name) { return item.has(name) && item.at(name).boolean(); };
    AddedTokenRule token;
    token.single_word = flag("single_word");
    token.lstrip = flag("lstrip");
    token.rstrip = flag("rstrip");
    token.id = item.at("id").id();
    token.content = item.at("content").string();
    token.special = flag("special");
    if (token.content.empty() || token.content.size() > kMaxAddedTokenBytes) {
      item.at("content").fail(concat("wrong length (found ", token.content.size(),
                                     " bytes, expected 1 to ", kMaxAddedTokenBytes,
                                     "); correct the token"));
    }
    if (!ids.insert(token.id).second) {
      item.at("id").fail(concat("duplicate id (found ", token.id,
                                " again, expected one token per "
                                "id); the file is damaged"));
    }
    if (!contents.insert(item.at("content").string()).second) {
      item.at("content").fail(concat("duplicate token (found ", in_quotes(token.content),
                                     " again, expected it once); the file is damaged"));
    }
    const bool normalized =
        item.has("normalized") ? item.at("normalized").boolean() : !token.special;
    (normalized ? out.normalized : out.verbatim).push_back(token);
    out.added_tokens.push_back(token);
  }
  std::sort(out.added_tokens.begin(), out.added_tokens.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
}

void check_model(const Field& model) {
  model.allow_only({"type", "dropout", "unk_token", "continuing_subword_prefix",
                    "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab",
                    "merges"});
  if (model.has("type")) model.expect_string("type", "BPE");
  for (const char* key : {"dropout", "unk_token"}) model.expect_null(key);
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    model.expect_empty(key);
  }
  for (const char* key : {"fuse_unk", "byte_fallback"}) model.expect(key, false);
}

struct Entry {
  int32_t id;
  std::string_view text;
};

std::vector<Entry> read_vocab(const Field& model) {
  const Field vocab = model.at("vocab");
  std::vector<Entry> entries;
  for (const auto member : vocab.object()) {
    int64_t id = -1;
    if (member.value.get(id) != simdjson::SUCCESS || id < 0 || id >= BpeModel::kMaxTokens) {
      Field(member.value, concat(vocab.path(), ".", in_quotes(member.key))).id();  // throws
    }
    entries.push_back({static_cast<int32_t>(id), member.key});
  }
  return entries;
}

TokenIndex index_vocab(const Field& model, const std::vector<Entry>& entries) {
  TokenIndex index(entries.size());
  for (const Entry& entry : entries) {
    if (index.insert(entry.text, entry.id)) continue;
    model.at("vocab").fail(concat("duplicate token (found ", in_quotes(entry.text),
                                  " again, expected it once); the file is damaged"));
  }
  return index;
}

// Lays the bytes of all tokens out by id. The texts of added tokens are taken as they are; so are
// entries of the vocabulary outside the byte alphabet.
void store_tokens(const Field& root, std::vector<Entry> entries, const TokenIndex& index,
                  TokenizerDefinition& out) {
  for (const AddedToken& token : out.added_tokens) {
    const int32_t known = index.find(token.content);
    if (known >= 0 && known != token.id) {
      root.at("added_tokens")
          .fail(concat("token ", in_quotes(token.content), " has another id in model.vocab (found ",
                       token.id, ", expected ", known, "); the file is damaged"));
    }
    if (known < 0) entries.push_back({token.id, {}});
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.id < b.id; });
  auto added = out.added_tokens.begin();
  for (const Entry& entry : entries) {
    const auto id = static_cast<size_t>(entry.id);
    if (id < out.begin.size()) {
      root.at("model").fail(concat("duplicate id (found ", id,
                                   " again in vocab or added_tokens, "
                                   "expected one token per id); the file is damaged"));
    }
    out.begin.resize(id + 1, static_cast<uint32_t>(out.bytes.size()));
    while (added != out.added_tokens.end() && added->id < entry.id) ++added;
    if (added != out.added_tokens.end() && added->id == entry.id) {
      out.bytes += added->content;
    } else if (!append_from_byte_level(entry.text, out.bytes)) {
      out.bytes += entry.text;
    }
  }
  out.begin.push_back(static_cast<uint32_t>(out.bytes.size()));
}

// With ignore_merges a piece that is an entry of the vocabulary as a whole is that entry. Pieces are
// looked up in the byte alphabet, so an entry outside of it is none.
void read_whole_pieces(const Field& model, const std::vector<Entry>& entries,
                       TokenizerDefinition& out) {
  if (!model.has("ignore_merges") || !model.at("ignore_merges").boolean()) return;
  for (const Entry& entry : entries) {
    std::string piece;
    if (!entry.text.empty() && append_from_byte_level(entry.text, piece)) {
      out.whole_pieces.emplace_back(std::move(piece), entry.id);
    }
  }
}

void find_byte_tokens(const Field& model, const TokenIndex& index, TokenizerDefinition& out) {
  for (size_t byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const std::string text = to_byte_level({&c, 1});
    out.byte_tokens[byte] = index.find(text);
    if (out.byte_tokens[byte] < 0) {
      model.at("vocab").fail(concat("byte ", byte, " has no token (found none, expected ",
                                    in_quotes(text),
                                    "); hadal reads byte-level BPE with all 256 "
                                    "bytes"));
    }
  }
}

// Files list the results of merges in the order of the merges: the entry after the last result is
// tried before the index, which is many cache misses away.
class ResultGuess {
 public:
  explicit ResultGuess(const std::vector<Entry>& entries) : entries_(entries) {}
  int32_t find(std::string_view text, const TokenIndex& index) {
    if (next_ < entries_.size() && entries_[next_].text == text) return entries_[next_++].id;
    const int32_t id = index.find(text);
    if (next_ > 0 || id < 0) return id;
    while (entries_[next_].text != text) ++next_;
    return entries_[next_++].id;
  }

 private:
  const std::vector<Entry>& entries_;
  size_t next_ = 0;  // 0 until the first result was found
};

void read_merges(const Field& model, const std::vector<Entry>& entries, const TokenIndex& index,
                 TokenizerDefinition& out) {
  const Field field = model.at("merges");
  const dom::array array = field.array();
  if (array.size() > BpeModel::kMaxMerges) {
    field.fail(concat("too many merges (found ", array.size(), ", expected at most ",
                      BpeModel::kMaxMerges, "); the file is damaged"));
  }
  out.merges.reserve(array.size());
  PairRanks pairs(array.size());
  std::string joined;
  ResultGuess guess(entries);
  for (const dom::element item : array) {
    const auto here = [&] {
      return Field(item, concat(field.path(), "[", out.merges.size(), "]"));
    };
    std::string_view left, right;
    dom::array halves;
    if (item.get(halves) == simdjson::SUCCESS) {
      if (halves.size() != 2 || halves.at(0).get(left) != simdjson::SUCCESS ||
          halves.at(1).get(right) != simdjson::SUCCESS) {
        here().wrong_type("two tokens");
      }
    } else {
      std::string_view both;
      if (item.get(both) != simdjson::SUCCESS) here().wrong_type("a string");
      const size_t space = both.find(' ');
      if (space == std::string_view::npos || both.find(' ', space + 1) != std::string_view::npos) {
        here().wrong_type("two tokens with one space between");
      }
      left = both.substr(0, space);
      right = both.substr(space + 1);
    }
    if (left.empty() || right.empty()) here().wrong_type("two tokens that are not empty");
    joined.assign(left).append(right);
    const BpeMerge merge = {index.find(left), index.find(right), guess.find(joined, index)};
    if (std::min({merge.left, merge.right, merge.result}) < 0) {
      const std::string_view missing = merge.left < 0    ? left
                                       : merge.right < 0 ? right
                                                         : std::string_view(joined);
      here().fail(concat("token not in model.vocab (found ", in_quotes(missing),
                         ", expected a known token); the file is damaged"));
    }
    if (!pairs.insert(merge.left, merge.right, 0)) {
      here().fail(concat("duplicate merge (found ", in_quotes(joined),
                         " again, expected every "
                         "pair once); the file is damaged"));
    }
    out.merges.push_back(merge);
  }
}

}  // namespace

TokenizerDefinition parse_tokenizer_json(std::string_view text, const std::string& source) {
  dom::parser parser;
  const simdjson::padded_string padded(text);
  dom::element document;
  if (const auto error = parser.parse(padded).get(document); error != simdjson::SUCCESS) {
    throw FormatError(concat(source, ": not valid JSON: ", simdjson::error_message(error),
                             " (found ", text.size(),
                             " bytes, expected a tokenizer.json); the file "
                             "is damaged or incomplete"));
  }
  const Field root(document, source + ": ");
  root.allow_only({"version", "truncation", "padding", "added_tokens", "normalizer",
                   "pre_tokenizer", "post_processor", "decoder", "model"});
  // What a program cut or filled its batches to when it saved the file. They are settings of its
  // calls (transformers sets them anew for each) and touch no id of a text.
  for (const char* key : {"truncation", "padding"}) {
    if (root.has(key)) root.at(key).object();
  }
  TokenizerDefinition out;
  read_normalizer(root);
  out.stages = read_pre_tokenizers(root);
  if (!root.has("decoder")) {
    root.fail("decoder: missing (found none, expected ByteLevel); the file is damaged");
  }
  root.at("decoder").expect_string("type", "ByteLevel");
  check_byte_level(root.at("decoder"));
  read_added_tokens(root, out);
  const Field model = root.at("model");
  check_model(model);
  std::vector<Entry> entries = read_vocab(model);
  const TokenIndex index = index_vocab(model, entries);
  find_byte_tokens(model, index, out);
  read_merges(model, entries, index, out);
  read_whole_pieces(model, entries, out);
  store_tokens(root, std::move(entries), index, out);
  out.prepended = read_post_processor(root, out);
  return out;
}

}  // namespace hadal
