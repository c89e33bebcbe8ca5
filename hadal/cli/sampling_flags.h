// cli/sampling_flags.h: what the commands that read and write text share: the sampling options of a
// command line, and a text argument that may be standard input.
#pragma once

#include <string>
#include <vector>

#include "hadal/command/command.h"
#include "hadal/infer/request.h"
#include "hadal/infer/text_model.h"

namespace hadal::cli {

// The bytes of a file, or of standard input for "-".
std::string read_bytes_argument(const std::string& file);
// They as UTF-8: converted from `encoding` if it is named; what is no UTF-8 is said and replaced.
std::string read_text_argument(const std::string& file, const std::string& encoding = "");

// The sampling options of a command line. Precedence: the command line, the model folder's
// generation_config.json, the command's own default.
struct SamplingFlags {
  int64_t max_tokens = 256;
  double temperature = 0.0, top_p = 1.0, min_p = 0.0;
  int64_t top_k = 0;
  double repetition_penalty = 1.0, presence_penalty = 0.0, frequency_penalty = 0.0;
  std::vector<std::string> stop;
  std::string speculate = "auto", draft = "auto";
  bool ignore_eos = false;

  void bind(Flags& flags);
  SamplingOptions sampling(const Flags& flags, const CommonOptions& common,
                           const TextModel& text_model) const;
  std::vector<int32_t> stop_tokens(const TextModel& text_model) const;  // end of text
  // Tokens to write where `room` are left: a number on the command line as it is, else at most the room.
  int64_t answer_limit(const Flags& flags, const TextModel& text_model, int64_t room) const;
  // Drafts per step at most, and from where; `auto`: as many as are measured to pay.
  void set_drafts(GenerateOptions& options, const ModelConfig& config) const;
  int64_t draft_tokens(const ModelConfig& config) const;
  bool may_use_mtp() const { return speculate != "off" && draft != "ngram"; }
};

}  // namespace hadal::cli
