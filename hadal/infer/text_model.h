// infer/text_model.h: a model folder ready to read and write text: weights, tokenizer, and how the
// folder says a text ends.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hadal/data/tokenizer.h"
#include "hadal/infer/generation_defaults.h"
#include "hadal/model/checkpoint.h"
#include "hadal/ops/compute_device.h"

namespace hadal {

// BOS before `ids`, unless they begin with it already or the tokenizer has none.
void put_bos_first(const Tokenizer& tokenizer, std::vector<int32_t>& ids);

struct TextModel {
  // Weights stay in the type they are stored in: decoding is bound by reading them.
  // `path`: a model's folder or a run's.
  // `part`: of the folder's config, where this is one of several ranks; else the whole model.
  TextModel(const std::string& path, int n_threads, Device device, bool with_mtp,
            std::optional<HeldPart> part = std::nullopt);

  const Tokenizer& need_tokenizer() const;  // FormatError when the folder has none
  // Ids of `text`, behind BOS where the tokenizer's settings ask for it and the text has none.
  std::vector<int32_t> encode(const std::string& text) const;
  // End of text, as generation_config.json, config.json and the tokenizer name it.
  std::vector<int32_t> stop_tokens() const;
  // `own`, and those that generation_config.json names.
  std::vector<std::string> stop_texts(std::vector<std::string> own) const;

  std::string folder;  // a run's newest checkpoint
  GenerationDefaults defaults;
  ThreadPool pool;
  ComputeDevice device;
  Arena arena;
  Context ctx;
  DeepseekV3 model;
  std::optional<Tokenizer> tokenizer;
};

}  // namespace hadal
