#include "hadal/data/document_tokens.h"

#include "hadal/core/error.h"
#include "hadal/core/rng.h"
#include "hadal/data/fill_in_middle.h"

namespace hadal {
namespace {

// Where the line breaks of "punctuation, then line breaks" begin; 0 for any other token.
size_t line_breaks_after_punctuation(std::string_view bytes) {
  const size_t end = bytes.find_last_not_of("\r\n");
  if (end == std::string_view::npos || end + 1 == bytes.size()) return 0;
  const auto last = static_cast<unsigned char>(bytes[end]);
  const bool letter_or_digit = (last >= '0' && last <= '9') || (last >= 'A' && last <= 'Z') ||
                               (last >= 'a' && last <= 'z') || last <= ' ';
  // Non-ASCII marks count as well: a pre-tokenizer never joins a letter with a line break.
  return letter_or_digit ? 0 : end + 1;
}

}  // namespace

DocumentEncoder::DocumentEncoder(const Tokenizer& tokenizer, const DocumentTokenOptions& options)
    : tokenizer_(tokenizer), options_(options), bos_(tokenizer.bos_id()) {
  require(options.fim_rate >= 0.0 && options.fim_rate <= 1.0, {.field = "data.fim_rate",
                                                               .problem = "not a share",
                                                               .found = options.fim_rate,
                                                               .expected = "0 to 1",
                                                               .advice = "0.1 is the report's"});
  require(options.boundary_split_rate >= 0.0 && options.boundary_split_rate <= 1.0,
          {.field = "data.boundary_split_rate",
           .problem = "not a share",
           .found = options.boundary_split_rate,
           .expected = "0 to 1"});
  require(tokenizer.eos_id().has_value(), {.place = "tokenizer",
                                           .problem = "no token that ends a document",
                                           .expected = "eos_token in tokenizer_config.json",
                                           .advice = "add one, or train a tokenizer with hadal"});
  require(options.fim_rate == 0.0 || tokenizer.fim_tokens().has_value(),
          {.field = "data.fim_rate",
           .problem = "the tokenizer has no fill-in-the-middle marks",
           .found = {"rate ", options.fim_rate},
           .expected = "0",
           .advice = "set it to 0 or use another tokenizer"});
  eos_ = *tokenizer.eos_id();
  if (options.boundary_split_rate == 0.0) return;
  halves_.resize(static_cast<size_t>(tokenizer.vocab_size()));
  for (size_t id = 0; id < halves_.size(); ++id) {
    if (tokenizer.is_special(static_cast<int32_t>(id))) continue;
    const std::string_view bytes = tokenizer.token_bytes(static_cast<int32_t>(id));
    const size_t cut = line_breaks_after_punctuation(bytes);
    if (cut == 0) continue;
    const auto punctuation = tokenizer.token_id(bytes.substr(0, cut));
    const auto line_breaks = tokenizer.token_id(bytes.substr(cut));
    if (punctuation && line_breaks) halves_[id] = {*punctuation, *line_breaks};
  }
}

DocumentEncoder DocumentEncoder::without_fim() const {
  DocumentEncoder plain = *this;
  plain.options_.fim_rate = 0.0;
  return plain;
}

std::vector<int32_t> DocumentEncoder::encode_with(std::string_view text, const ContentHash& hash,
                                                  ThreadPool* pool) const {
  Rng rng(options_.seed, hash.low);
  const auto encode_text = [&](std::string_view part) {
    return pool ? tokenizer_.encode_parallel(part, *pool, false) : tokenizer_.encode(part, false);
  };
  std::vector<int32_t> ids;
  if (bos_) ids.push_back(*bos_);
  const auto append = [&](std::string_view part) {
    for (const int32_t id : encode_text(part)) {
      const Halves* halves = halves_.empty() ? nullptr : &halves_[static_cast<size_t>(id)];
      if (halves && halves->punctuation >= 0 && rng.uniform() < options_.boundary_split_rate) {
        ids.push_back(halves->punctuation);
        ids.push_back(halves->line_breaks);
      } else {
        ids.push_back(id);
      }
    }
  };
  if (options_.fim_rate > 0.0 && rng.uniform() < options_.fim_rate) {
    const Tokenizer::FimTokens marks = *tokenizer_.fim_tokens();
    const FillInMiddle parts = cut_fill_in_middle(text, rng);
    ids.push_back(marks.begin);
    append(parts.prefix);
    ids.push_back(marks.hole);
    append(parts.suffix);
    ids.push_back(marks.end);
    append(parts.middle);
  } else {
    append(text);
  }
  ids.push_back(eos_);
  return ids;
}

std::vector<int32_t> DocumentEncoder::encode(std::string_view text, const ContentHash& hash) const {
  return encode_with(text, hash, nullptr);
}

std::vector<int32_t> DocumentEncoder::encode_parallel(std::string_view text,
                                                      const ContentHash& hash,
                                                      ThreadPool& pool) const {
  return encode_with(text, hash, &pool);
}

}  // namespace hadal
