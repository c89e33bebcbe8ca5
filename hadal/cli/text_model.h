// cli/text_model.h: a model folder ready to read and write text: what generate, chat and score
// share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hadal/cli/command.h"
#include "hadal/data/tokenizer.h"
#include "hadal/infer/engine.h"
#include "hadal/model/checkpoint.h"

namespace hadal::cli {

struct TextModel {
  // Weights stay in the type they are stored in: decoding is bound by reading them.
  TextModel(const std::string& folder, const CommonOptions& common, bool with_mtp);

  const Tokenizer& need_tokenizer() const;  // FormatError when the folder has none
  // Ids of `text`, behind BOS where the tokenizer's settings ask for it.
  std::vector<int32_t> encode(const std::string& text) const;

  std::string folder;
  ThreadPool pool;
  Arena arena;
  Context ctx;
  DeepseekV3 model;
  std::optional<Tokenizer> tokenizer;
};

// The bytes of a file, or of standard input for "-".
std::string read_text_argument(const std::string& file);

// The sampling options of a command line. Precedence: the command line, the model folder's
// generation_config.json, the command's own default.
struct SamplingFlags {
  double temperature = 0.0, top_p = 1.0;
  int64_t top_k = 0;
  double repetition_penalty = 1.0, presence_penalty = 0.0, frequency_penalty = 0.0;
  std::vector<std::string> stop;
  std::string speculate = "auto";
  bool ignore_eos = false;

  void bind(Flags& flags);
  SamplingOptions sampling(const Flags& flags, const CommonOptions& common,
                           const TextModel& text_model) const;
  std::vector<int32_t> stop_tokens(const TextModel& text_model) const;  // end of text
  // `auto`: one draft per step if the model has MTP modules.
  int64_t draft_tokens(const ModelConfig& config) const;
};

}  // namespace hadal::cli
