// data/tokenizer.h: byte-level BPE as tokenizer.json describes it (docs/formats.md).
//
// encode gives exactly the ids of Hugging Face's `tokenizers` for any bytes (invalid UTF-8 is first
// replaced by U+FFFD, one per maximal subpart); decode(encode(s)) == s for valid UTF-8.
// A Tokenizer is immutable and may be used from many threads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hadal {

class ThreadPool;

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;
};

struct TextStretch {
  size_t end;  // the one before ends where this begins; the last one ends with the text
  bool added_tokens;
};
// Texts without added tokens, and ids that decode to them: a model need not have written a text with
// the ids that encoding gives.
using KnownIds = std::map<std::string, std::vector<int32_t>, std::less<>>;

class Tokenizer {
 public:
  // A tokenizer.json, or a folder that holds one (with tokenizer_config.json if present), or a run's.
  static Tokenizer load(const std::string& path);
  // From memory; `config_json` (tokenizer_config.json) may be empty, `source` names it in messages.
  static Tokenizer from_json(std::string_view tokenizer_json, std::string_view config_json,
                             const std::string& source);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  int64_t vocab_size() const;  // largest id + 1, added tokens included
  // `added_tokens` false: text that spells an added token stays text (user content in a server).
  std::vector<int32_t> encode(std::string_view text, bool added_tokens = true) const;
  // Same ids, cut at safe places and encoded by all threads.
  std::vector<int32_t> encode_parallel(std::string_view text, ThreadPool& pool,
                                       bool added_tokens = true) const;
  // A text of which only some stretches may spell added tokens: what a chat template writes may, what
  // a message says may not. Text that goes on over the end of a stretch is cut into pieces as one. A
  // text between two added tokens that `known` holds keeps the ids it has there. REQUIRES valid UTF-8.
  std::vector<int32_t> encode_stretches(std::string_view text,
                                        std::span<const TextStretch> stretches,
                                        const KnownIds& known = {}) const;
  std::string decode(const std::vector<int32_t>& ids,
                     bool skip_special = false) const;  // raw bytes may be cut UTF-8
  std::string_view token_bytes(
      int32_t id) const;  // bytes that this id adds to a text; empty if unknown
  std::optional<int32_t> token_id(
      std::string_view content) const;  // an added token or a vocabulary entry by bytes
  bool is_special(int32_t id) const;
  const std::vector<AddedToken>& added_tokens() const;
  std::optional<int32_t> bos_id()
      const;  // tokenizer_config.json, else the family's names in added_tokens
  std::optional<int32_t> eos_id() const;
  bool add_bos() const;  // tokenizer_config.json, else the post-processor

  // FIM marks, if this tokenizer has them.
  struct FimTokens {
    int32_t begin, hole, end;
  };
  std::optional<FimTokens> fim_tokens() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

// Holds back bytes that are the beginning of an unfinished UTF-8 character, for streaming output.
class Utf8Stream {
 public:
  std::string push(std::string_view bytes);  // what may be shown now
  std::string finish();                      // the rest; unfinished bytes become U+FFFD
 private:
  std::string held_;
};

}  // namespace hadal
