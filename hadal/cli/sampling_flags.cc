#include "hadal/cli/sampling_flags.h"

#include <algorithm>
#include <charconv>
#include <iostream>
#include <iterator>

#include "hadal/core/error.h"
#include "hadal/core/log.h"
#include "hadal/corpus/source_remarks.h"

namespace hadal::cli {

std::string read_bytes_argument(const std::string& file) {
  if (file != "-") return read_text_file(file);
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  if (std::cin.bad()) throw IoError("-: cannot read the standard input; give a file");
  return text;
}

std::string read_text_argument(const std::string& file, const std::string& encoding) {
  return utf8_text(read_bytes_argument(file), file, encoding);
}

void SamplingFlags::bind(Flags& flags) {
  flags.option("max-tokens,-n", max_tokens,
               "tokens of an answer at most; -1: as the context allows");
  flags.option("temperature,--temp", temperature,
               "0 takes the most probable token; higher is bolder (default: the model's "
               "generation_config.json)");
  flags.option("top-k", top_k, "sample from the K most probable tokens; 0 or -1: all");
  flags.option("top-p", top_p, "sample from the smallest set of probability P; 1: all");
  flags.option("min-p", min_p,
               "leave out tokens with less than P times the best one's probability");
  flags.option("repetition-penalty,--repeat-penalty", repetition_penalty,
               "divide the positive and multiply the negative logits of tokens seen; 1: off");
  flags.option("presence-penalty", presence_penalty,
               "subtract from the logits of tokens generated before; -2 to 2");
  flags.option("frequency-penalty", frequency_penalty,
               "subtract for each time a token was generated before; -2 to 2");
  flags.option("stop", stop, "end before this text; may be given several times");
  flags.option(
      "speculate", speculate,
      "drafts per step: auto, off or 1 to 7; the result is the same, only faster or slower. "
      "auto makes as many as are measured to pay, or none");
  flags.choice(
      "draft", draft, {"auto", "mtp", "ngram"},
      "where drafts come from: the MTP modules, or what followed the last tokens where they "
      "stood before; auto: whichever promises more");
  flags.flag("ignore-eos", ignore_eos, "go on behind the end-of-text token");
}

SamplingOptions SamplingFlags::sampling(const Flags& flags, const CommonOptions& common,
                                        const TextModel& text_model) const {
  const GenerationDefaults& defaults = text_model.defaults;
  const auto pick = [&flags](const char* name, auto own, const auto& from_file) {
    return flags.given(name) ? own : from_file.value_or(own);
  };
  SamplingOptions options;
  options.temperature = pick("temperature", temperature, defaults.temperature);
  options.top_p = pick("top-p", top_p, defaults.top_p);
  options.min_p = pick("min-p", min_p, defaults.min_p);
  options.top_k = pick("top-k", top_k, defaults.top_k);
  if (options.top_k == -1) options.top_k = 0;
  options.repetition_penalty =
      pick("repetition-penalty", repetition_penalty, defaults.repetition_penalty);
  options.presence_penalty = presence_penalty;
  options.frequency_penalty = frequency_penalty;
  options.seed = common.seed;
  options.suppressed_ids = defaults.suppress_tokens;
  // Rows of the embedding beyond the tokenizer's ids are padding and have no text.
  if (text_model.tokenizer) options.n_usable_ids = text_model.tokenizer->vocab_size();
  options.validate();
  return options;
}

std::vector<int32_t> SamplingFlags::stop_tokens(const TextModel& text_model) const {
  return ignore_eos ? std::vector<int32_t>() : text_model.stop_tokens();
}

int64_t SamplingFlags::answer_limit(const Flags& flags, const TextModel& text_model,
                                    int64_t room) const {
  if (max_tokens == -1) return std::max<int64_t>(room, 1);
  if (flags.given("max-tokens") || room < 1) return max_tokens;
  return std::min(text_model.defaults.max_new_tokens.value_or(max_tokens), room);
}

int64_t SamplingFlags::draft_tokens(const ModelConfig& config) const {
  if (speculate == "off") return 0;
  const bool can_draft = config.n_mtp > 0 || draft != "mtp";
  if (speculate == "auto") return can_draft ? kMaxDraftTokens : 0;
  int64_t n = 0;
  const auto [end, error] =
      std::from_chars(speculate.data(), speculate.data() + speculate.size(), n);
  require(error == std::errc() && end == speculate.data() + speculate.size() && n >= 0 &&
              n <= kMaxDraftTokens,
          {.field = "--speculate",
           .problem = "wrong value",
           .found = speculate,
           .expected = {"auto, off or 0 to ", kMaxDraftTokens},
           .advice = "it is the number of drafts per step"});
  require(n == 0 || can_draft, {.field = "--draft",
                                .problem = "the model has no MTP module to draft with",
                                .found = draft,
                                .expected = "auto or ngram",
                                .advice = "leave the option out"});
  return n;
}

void SamplingFlags::set_drafts(GenerateOptions& options, const ModelConfig& config) const {
  options.draft_tokens = draft_tokens(config);
  options.drop_slow_drafts = speculate == "auto";
  options.draft_from = draft == "mtp"     ? DraftFrom::kMtp
                       : draft == "ngram" ? DraftFrom::kNgram
                                          : DraftFrom::kAny;
}

}  // namespace hadal::cli
