#include "hadal/infer/text_model.h"

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/log.h"
#include "hadal/io/model_files.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

DeepseekV3 load_with_note(Context& ctx, const std::string& folder, bool with_mtp,
                          std::optional<HeldPart> part) {
  ProgressLine progress;
  progress.show(concat("loading ", folder));
  return load_model(ctx, folder,
                    {.dtype = LoadAs::kAsStored, .with_mtp = with_mtp, .part = std::move(part)});
}

}  // namespace

TextModel::TextModel(const std::string& path, int n_threads, Device kind, bool with_mtp,
                     std::optional<HeldPart> part)
    : folder(model_folder(path)),
      defaults(read_generation_defaults(folder)),
      pool(n_threads),
      device(kind),
      arena(device.memory()),
      ctx(device.context(pool, arena)),
      model(load_with_note(ctx, folder, with_mtp, std::move(part))) {
  if (path_exists(folder + "/tokenizer.json")) tokenizer = Tokenizer::load(folder);
}

void put_bos_first(const Tokenizer& tokenizer, std::vector<int32_t>& ids) {
  const std::optional<int32_t> bos = tokenizer.bos_id();
  if (bos && (ids.empty() || ids.front() != *bos)) ids.insert(ids.begin(), *bos);
}

const Tokenizer& TextModel::need_tokenizer() const {
  if (!tokenizer) {
    throw FormatError({.place = {folder, "/tokenizer.json"},
                       .problem = "no such file",
                       .found = "a model without a tokenizer",
                       .expected = "tokenizer.json",
                       .advice = "copy it there; hadal generate also takes token ids"});
  }
  return *tokenizer;
}

std::vector<int32_t> TextModel::encode(const std::string& text) const {
  const Tokenizer& t = need_tokenizer();
  std::vector<int32_t> ids = t.encode(text);
  if (t.add_bos()) put_bos_first(t, ids);
  return ids;
}

std::vector<int32_t> TextModel::stop_tokens() const {
  std::vector<int32_t> ids = defaults.eos_token_ids;
  for (const int64_t id : model.config.eos_token_ids) ids.push_back(static_cast<int32_t>(id));
  if (tokenizer && tokenizer->eos_id()) ids.push_back(*tokenizer->eos_id());
  return ids;
}

std::vector<std::string> TextModel::stop_texts(std::vector<std::string> own) const {
  own.insert(own.end(), defaults.stop_strings.begin(), defaults.stop_strings.end());
  return own;
}

}  // namespace hadal
