#include "hadal/data/tokenizer.h"

#include <simdjson.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/json.h"
#include "hadal/core/thread_pool.h"
#include "hadal/core/utf8.h"
#include "hadal/data/added_token_matcher.h"
#include "hadal/data/bpe_model.h"
#include "hadal/data/pre_tokenizer.h"
#include "hadal/data/tokenizer_json.h"
#include "hadal/io/model_files.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

constexpr size_t kMaxTextBytes = (size_t{1} << 32) - 1;  // lengths of pieces are 32 bits
constexpr size_t kChunkBytes = 256 << 10;                // one task of encode_parallel

// What one thread needs to encode.
struct EncodeScratch {
  BpeModel::Scratch bpe;
  std::vector<uint32_t> lengths;
};

// A part of a text: an added token, or a stretch between added tokens.
struct Segment {
  std::string_view text;
  int32_t added_id = -1;
};

void cut_out(const AddedTokenMatcher& matcher, std::string_view text, std::vector<Segment>& out,
             const AddedTokenMatcher* next) {
  const auto plain = [&](std::string_view part) {
    if (part.empty()) return;
    if (next == nullptr) {
      out.push_back({part});
    } else {
      cut_out(*next, part, out, nullptr);
    }
  };
  size_t done = 0, from = 0;
  while (const auto match = matcher.find(text, from, done)) {
    from = match->resume;
    // A token of white space may lie in what the one before it took; with lstrip none of it is left.
    if (match->begin >= match->end) continue;
    if (match->begin > done) plain(text.substr(done, match->begin - done));
    out.push_back({{}, match->id});
    done = match->end;
  }
  plain(text.substr(done));
}

}  // namespace

struct Tokenizer::Impl {
  TokenizerDefinition definition;
  std::unique_ptr<PreTokenizer> pre_tokenizer;
  BpeModel bpe;
  AddedTokenMatcher verbatim, normalized;
  std::vector<int32_t> by_bytes;  // ids in the order of their bytes
  std::vector<bool> special;
  std::optional<int32_t> bos, eos;
  bool add_bos = false;
  // ignore_merges: the pieces whose own token their merges do not lead to.
  std::map<std::string, int32_t, std::less<>> unmerged;

  // Idle scratch space; holds at most as many as threads encoded at one time.
  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<EncodeScratch>> idle;

  explicit Impl(TokenizerDefinition d) : definition(std::move(d)) {
    pre_tokenizer = make_pre_tokenizer(definition.stages);
    sort_by_bytes();
    bpe = BpeModel(definition.byte_tokens, definition.merges, by_bytes,
                   [this](int32_t id) { return definition.token(id); });
    verbatim = AddedTokenMatcher(definition.verbatim);
    normalized = AddedTokenMatcher(definition.normalized);
    special.resize(size());
    for (const AddedToken& token : definition.added_tokens) {
      special[static_cast<size_t>(token.id)] = token.special;
    }
    find_unmerged();
    definition.merges = {};
    definition.whole_pieces = {};
  }

  void sort_by_bytes();
  void find_unmerged();
  size_t size() const { return definition.begin.size() - 1; }

  std::unique_ptr<EncodeScratch> take_scratch() const {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return std::make_unique<EncodeScratch>();
    auto scratch = std::move(idle.back());
    idle.pop_back();
    return scratch;
  }
  void give_back(std::unique_ptr<EncodeScratch> scratch) const {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(scratch));
  }

  void encode_piece(std::string_view piece, const char* readable_end, BpeModel::Scratch& scratch,
                    std::vector<int32_t>& ids) const {
    if (!unmerged.empty()) {
      if (const auto whole = unmerged.find(piece); whole != unmerged.end()) {
        ids.push_back(whole->second);
        return;
      }
    }
    bpe.encode(piece, readable_end, scratch, ids);
  }

  void encode_plain(std::string_view text, const char* readable_end, EncodeScratch& scratch,
                    std::vector<int32_t>& ids) const {
    const char* piece = text.data();
    for (size_t at = 0; at < text.size();) {
      scratch.lengths.clear();
      at = pre_tokenizer->split(text, at, scratch.lengths);
      for (const uint32_t length : scratch.lengths) {
        encode_piece({piece, length}, readable_end, scratch.bpe, ids);
        piece += length;
      }
    }
  }

  std::vector<Segment> segments(std::string_view text, bool added_tokens) const {
    std::vector<Segment> out;
    if (added_tokens) {
      cut_out(verbatim, text, out, &normalized);
    } else if (!text.empty()) {
      out.push_back({text});
    }
    return out;
  }

  std::vector<Segment> segments(std::string_view text,
                                std::span<const TextStretch> stretches) const {
    std::vector<Segment> out;
    size_t begin = 0;
    for (const TextStretch& stretch : stretches) {
      for (const Segment& s :
           segments(text.substr(begin, stretch.end - begin), stretch.added_tokens)) {
        if (s.added_id < 0 && !out.empty() && out.back().added_id < 0) {
          out.back().text = {out.back().text.data(), out.back().text.size() + s.text.size()};
        } else {
          out.push_back(s);
        }
      }
      begin = stretch.end;
    }
    return out;
  }

  std::optional<int32_t> find(std::string_view content) const {
    for (const AddedToken& token : definition.added_tokens) {
      if (token.content == content) return token.id;
    }
    const auto found = std::lower_bound(
        by_bytes.begin(), by_bytes.end(), content,
        [this](int32_t id, std::string_view bytes) { return definition.token(id) < bytes; });
    if (found == by_bytes.end() || definition.token(*found) != content) return std::nullopt;
    return *found;
  }

  void read_config(const Json& config, const std::string& source);
};

namespace {

// The text with every ill-formed subpart replaced; `repaired` owns it when that changed something.
std::string_view well_formed(std::string_view text, std::string& repaired) {
  if (text.size() > kMaxTextBytes) {
    throw ConfigError({.place = "text",
                       .problem = "too long to encode at once",
                       .found = {text.size(), " bytes"},
                       .expected = {"at most ", kMaxTextBytes},
                       .advice = "cut it"});
  }
  if (simdjson::validate_utf8(text.data(), text.size())) return text;
  repaired = repair_utf8(std::string(text));
  return repaired;
}

// "bos_token": a string, or an object with "content" in older files.
std::optional<std::string> token_name(const Json& config, const char* key) {
  const Json* value = config.find(key);
  if (value != nullptr && value->is_object()) value = value->find("content");
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return value->as_string();
}

}  // namespace

void Tokenizer::Impl::sort_by_bytes() {
  // The first eight bytes as a number decide nearly all comparisons.
  struct Key {
    uint64_t head;
    int32_t id;
  };
  std::vector<Key> keys(size());
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::string_view bytes = definition.token(static_cast<int32_t>(i));
    uint64_t head = 0;
    for (size_t b = 0; b < 8; ++b) {
      head = head << 8 | (b < bytes.size() ? static_cast<uint8_t>(bytes[b]) : 0U);
    }
    keys[i] = {head, static_cast<int32_t>(i)};
  }
  std::sort(keys.begin(), keys.end(), [this](const Key& a, const Key& b) {
    if (a.head != b.head) return a.head < b.head;
    const int order = definition.token(a.id).compare(definition.token(b.id));
    return order != 0 ? order < 0 : a.id < b.id;
  });
  by_bytes.reserve(keys.size());
  for (const Key& key : keys) by_bytes.push_back(key.id);
}

void Tokenizer::Impl::find_unmerged() {
  BpeModel::Scratch scratch;
  std::vector<int32_t> ids;
  for (const auto& [piece, id] : definition.whole_pieces) {
    ids.clear();
    bpe.encode(piece, piece.data() + piece.size(), scratch, ids);
    if (ids != std::vector<int32_t>{id}) unmerged.emplace(piece, id);
  }
}

void Tokenizer::Impl::read_config(const Json& config, const std::string& source) {
  for (const auto& [key, family, id] : {std::tuple{"bos_token", "<｜begin▁of▁sentence｜>", &bos},
                                        std::tuple{"eos_token", "<｜end▁of▁sentence｜>", &eos}}) {
    const auto name = token_name(config, key);
    *id = id == &bos && !name && definition.prepended ? definition.prepended
                                                      : find(name.value_or(family));
    if (name && !*id) {
      throw FormatError(concat(source, ": ", key, ": not in tokenizer.json (found ",
                               in_quotes(*name),
                               ", expected one of its tokens); correct one of the two files"));
    }
  }
  // transformers rebuilds the post-processor from add_bos_token where that is said.
  add_bos = definition.prepended.has_value();
  const Json* add = config.find("add_bos_token");
  if (add != nullptr && !add->is_null()) {
    if (!add->is_bool()) {
      throw FormatError(concat(source, ": add_bos_token: wrong type (found ", add->type_name(),
                               ", expected true or false); correct the file"));
    }
    add_bos = add->as_bool();
  }
  if (add_bos && definition.prepended && bos != definition.prepended) {
    throw FormatError(
        Complaint{.place = source,
                  .field = "bos_token",
                  .problem = "not what the post-processor of tokenizer.json puts before a text",
                  .found = bos ? concat("id ", *bos) : std::string("none"),
                  .expected = {"id ", *definition.prepended},
                  .advice = "correct one of the two files"});
  }
}

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, std::string_view config_json,
                               const std::string& source) {
  auto impl = std::make_unique<Impl>(parse_tokenizer_json(tokenizer_json, source));
  const std::string config_source = source + " (tokenizer_config.json)";
  impl->read_config(config_json.empty() ? Json::object() : parse_json(config_json, config_source),
                    config_source);
  return Tokenizer(std::move(impl));
}

Tokenizer Tokenizer::load(const std::string& given) {
  namespace fs = std::filesystem;
  const std::string path = model_folder(given);
  const bool folder = is_folder(path);
  const fs::path file = folder ? fs::path(path) / "tokenizer.json" : fs::path(path);
  if (!path_exists(file)) {
    throw FormatError(concat(path,
                             ": no tokenizer (found no tokenizer.json, expected one); give a "
                             "folder that holds one, or train one with hadal tokenizer train"));
  }
  refuse_foreign_file(file.string(), "tokenizer.json");
  const fs::path config = file.parent_path() / "tokenizer_config.json";
  const std::string config_text =
      path_exists(config) ? read_text_file(config.string()) : std::string();
  return from_json(read_text_file(file.string()), config_text, file.string());
}

int64_t Tokenizer::vocab_size() const { return static_cast<int64_t>(impl_->size()); }

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool added_tokens) const {
  std::string repaired;
  text = well_formed(text, repaired);
  std::vector<int32_t> ids;
  // The densest texts that are words give a token for two bytes. What is not used is never touched;
  // growing a long list instead costs its pages twice (5 times the time for 4 times the text).
  ids.reserve(text.size() / 2 + 16);
  auto scratch = impl_->take_scratch();
  for (const Segment& segment : impl_->segments(text, added_tokens)) {
    if (segment.added_id >= 0) {
      ids.push_back(segment.added_id);
    } else {
      impl_->encode_plain(segment.text, text.data() + text.size(), *scratch, ids);
    }
  }
  impl_->give_back(std::move(scratch));
  return ids;
}

std::vector<int32_t> Tokenizer::encode_stretches(std::string_view text,
                                                 std::span<const TextStretch> stretches,
                                                 const KnownIds& known) const {
  std::vector<int32_t> ids;
  auto scratch = impl_->take_scratch();
  for (const Segment& segment : impl_->segments(text, stretches)) {
    const auto found = segment.added_id < 0 ? known.find(segment.text) : known.end();
    if (segment.added_id >= 0) {
      ids.push_back(segment.added_id);
    } else if (found != known.end()) {
      ids.insert(ids.end(), found->second.begin(), found->second.end());
    } else {
      impl_->encode_plain(segment.text, text.data() + text.size(), *scratch, ids);
    }
  }
  impl_->give_back(std::move(scratch));
  return ids;
}

std::vector<int32_t> Tokenizer::encode_parallel(std::string_view text, ThreadPool& pool,
                                                bool added_tokens) const {
  std::string repaired;
  text = well_formed(text, repaired);
  // Groups of segments of about kChunkBytes; long segments are cut where a piece begins whatever
  // stands around.
  std::vector<std::vector<Segment>> tasks(1);
  size_t filled = 0;
  for (Segment segment : impl_->segments(text, added_tokens)) {
    while (filled + segment.text.size() > kChunkBytes) {
      const size_t cut = impl_->pre_tokenizer->safe_cut(
          segment.text, std::min(segment.text.size(), kChunkBytes - filled));
      tasks.back().push_back({segment.text.substr(0, cut)});
      tasks.emplace_back();
      filled = 0;
      segment.text.remove_prefix(cut);
    }
    if (segment.added_id < 0 && segment.text.empty()) continue;
    filled += segment.text.size() + 1;
    tasks.back().push_back(segment);
  }
  std::vector<std::vector<int32_t>> parts(tasks.size());
  pool.parallel_tasks(static_cast<int64_t>(tasks.size()), [&](int64_t task, int) {
    auto scratch = impl_->take_scratch();
    auto& ids = parts[static_cast<size_t>(task)];
    for (const Segment& segment : tasks[static_cast<size_t>(task)]) {
      if (segment.added_id >= 0) {
        ids.push_back(segment.added_id);
      } else {
        impl_->encode_plain(segment.text, text.data() + text.size(), *scratch, ids);
      }
    }
    impl_->give_back(std::move(scratch));
  });
  size_t total = 0;
  for (const auto& part : parts) total += part.size();
  std::vector<int32_t> ids;
  ids.reserve(total);
  for (const auto& part : parts) ids.insert(ids.end(), part.begin(), part.end());
  return ids;
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids, bool skip_special) const {
  std::string out;
  for (const int32_t id : ids) {
    if (!skip_special || !is_special(id)) out += token_bytes(id);
  }
  return out;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) >= impl_->size()) return {};
  return impl_->definition.token(id);
}

std::optional<int32_t> Tokenizer::token_id(std::string_view content) const {
  return impl_->find(content);
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < impl_->size() &&
         impl_->special[static_cast<size_t>(id)];
}

const std::vector<AddedToken>& Tokenizer::added_tokens() const {
  return impl_->definition.added_tokens;
}
std::optional<int32_t> Tokenizer::bos_id() const { return impl_->bos; }
std::optional<int32_t> Tokenizer::eos_id() const { return impl_->eos; }
bool Tokenizer::add_bos() const { return impl_->add_bos; }

std::optional<Tokenizer::FimTokens> Tokenizer::fim_tokens() const {
  const auto begin = token_id("<｜fim▁begin｜>"), hole = token_id("<｜fim▁hole｜>"),
             end = token_id("<｜fim▁end｜>");
  if (!begin || !hole || !end) return std::nullopt;
  return FimTokens{*begin, *hole, *end};
}

}  // namespace hadal
