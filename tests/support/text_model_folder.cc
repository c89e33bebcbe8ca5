#include "tests/support/text_model_folder.h"

#include <algorithm>

#include "hadal/data/bpe_trainer.h"
#include "hadal/data/tokenizer.h"
#include "hadal/io/atomic_write.h"
#include "tests/support/random_model.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tool_call_texts.h"

namespace hadal::test {
namespace {

void write_tokenizer(const std::string& folder) {
  ThreadPool pool(1);
  BpeTrainer trainer({.vocab_size = smallest_trained_vocab_size() + 40}, pool);
  trainer.add("the cat and the hat and the man ran to the other end of the land, then the rain ");
  trainer.add("came and the man and the cat sat in the hat; the end of the other story. ");
  write_tokenizer_folder(trainer.train(), folder);
}

void write_model(const std::string& folder) {
  const ModelConfig config = text_shape(Tokenizer::load(tokenizer_folder()).vocab_size() + 7);
  Arena arena;
  DeepseekV3 model = make_model(config, arena);
  initialise_weights(model, arena, 5, 0.15F);
  save_folder(folder, model);
}

// A folder that goes away when the process ends, filled by `fill` when it is first asked for.
class FilledFolder {
 public:
  explicit FilledFolder(void (*fill)(const std::string&)) { fill(folder_.path()); }
  const std::string& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

}  // namespace

void write_reciting_model(const std::string& folder, const Lines& lines) {
  write_file_atomically(folder + "/tokenizer.json", tokenizer_json_with_all_marks());
  const Tokenizer tokenizer = Tokenizer::load(folder);
  std::vector<std::vector<int32_t>> sequences;
  for (const auto& [cue, line] : lines) {
    std::vector<int32_t>& ids = sequences.emplace_back(tokenizer.encode(line));
    ids.insert(ids.begin(), tokenizer.token_id(cue).value());
    ids.push_back(tokenizer.eos_id().value());
  }
  write_reciting_weights(folder, sequences);
}

void write_reciting_weights(const std::string& folder,
                            const std::vector<std::vector<int32_t>>& sequences) {
  ModelConfig config = text_shape(Tokenizer::load(folder).vocab_size());
  config.n_mtp = 0;
  Arena arena;
  DeepseekV3 model = make_model(config, arena);
  initialise_weights(model, arena, 5, 1.0F);
  // Layers add nothing, so the head sees the last token alone: each row is what comes before it.
  for (const NamedParam& param : named_params(model)) {
    const bool adds = param.name.ends_with("o_proj.weight") ||
                      param.name.ends_with("down_proj.weight") || param.param == &model.head;
    if (adds) std::ranges::fill(param.param->master.flat<float>(), 0.0F);
  }
  for (const std::vector<int32_t>& ids : sequences) {
    for (size_t next = 1; next < ids.size(); ++next) {
      const std::span<float> row = model.head.master.mat().row(ids[next]);
      const std::span<const float> last = model.embedding.master.mat().row(ids[next - 1]);
      for (size_t i = 0; i < row.size(); ++i) row[i] += last[i];
    }
  }
  save_folder(folder, model);
}

const std::string& tokenizer_folder() {
  static const FilledFolder folder(write_tokenizer);
  return folder.path();
}

const std::string& text_model_folder() {
  static const FilledFolder folder([](const std::string& path) {
    write_tokenizer(path);
    write_model(path);
  });
  return folder.path();
}

const std::string& model_folder_without_tokenizer() {
  static const FilledFolder folder(write_model);
  return folder.path();
}

}  // namespace hadal::test
