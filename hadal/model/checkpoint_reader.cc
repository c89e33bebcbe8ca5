#include "hadal/model/checkpoint_reader.h"

#include <set>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/log.h"
#include "hadal/io/model_files.h"
#include "hadal/io/path_status.h"
#include "hadal/model/found_config.h"
#include "hadal/model/hf_names.h"
#include "hadal/model/hf_neighbours.h"
#include "hadal/model/hf_storage.h"

namespace hadal {
namespace {

// Building the model costs memory for every expert: a config.json of a few bytes must not ask for
// millions that the weight files do not have.
void check_count(const ModelConfig& config, const TensorSource& source) {
  int64_t n_tensors = 0;
  for (int64_t layer = 0; layer < config.n_layers + config.n_mtp; ++layer) {
    n_tensors += 7 + (config.is_moe(layer) ? 3 * config.router.n_routed_experts : 3);
  }
  const auto n_found = static_cast<int64_t>(source.entries().size());
  if (n_found < n_tensors) {
    throw FormatError(concat(source.path(), ": too few tensors for its config.json (found ",
                             n_found, ", expected at least ", n_tensors,
                             "); the checkpoint is incomplete or config.json is another model's"));
  }
}

// What is in the files but not in the model: copies and leftovers that are known, or an error.
void check_unused(const OpenCheckpoint& checkpoint, const std::set<std::string>& used) {
  const ModelConfig& config = checkpoint.config;
  const TensorSource& source = checkpoint.source;
  const Tensor::Shape table = {config.vocab_size, config.d_model};
  std::set<std::string> copies;
  for (const HfCopy& copy : hf_mtp_copies(checkpoint.stored_config)) copies.insert(copy.name);
  if (config.tie_word_embeddings) copies.insert(hf_head_name());
  const bool skips_mtp = config.n_mtp == 0;
  int64_t n_foreign = 0;
  for (const auto& [name, entry] : source.entries()) {
    if (used.contains(name) || hf_is_ignored(name)) continue;
    const auto where = [&, &file = entry.file->path(), &tensor = name] {
      return concat(file, ": tensor ", in_quotes(tensor));
    };
    if (copies.contains(name)) {
      if (entry.info->shape != table) {
        throw FormatError(concat(where(), ": a copy of the shared table has another shape (found ",
                                 shape_text(entry.info->shape), ", expected ", shape_text(table),
                                 ")"));
      }
    } else if (skips_mtp && hf_layer_of(name) >= config.n_layers) {
      continue;
    } else if (name.starts_with("model.") || name == hf_head_name()) {
      throw FormatError(concat(where(), ": the model of config.json has no such tensor (found ",
                               dtype_name(entry.info->dtype), " ", shape_text(entry.info->shape),
                               "); config.json is another model's"));
    } else {
      ++n_foreign;
    }
  }
  if (n_foreign > 0) {
    log_warning(source.path(), ": ", n_foreign,
                " tensors do not belong to the model and are ignored");
  }
}

// Only for what has a class: norms and tables may be of any plain type.
void check_form(const StoredWeight& found, const StoredForms& forms, const NamedParam& param) {
  const WeightForm wanted = forms.of(param);
  const bool has_class = hf_class_of(param.name) != WeightClass::kOther;
  if (!has_class || found.form == wanted || (is_plain(found.form) && is_plain(wanted))) return;
  throw FormatError(concat(found.where, ": stored in another form than config.json says (found ",
                           form_name(found.form), ", expected ", form_name(wanted),
                           "); config.json belongs to another conversion of this model"));
}

}  // namespace

OpenCheckpoint open_checkpoint(const std::string& path, bool with_mtp) {
  const std::string folder = model_folder(path);
  if (!is_folder(folder)) {
    refuse_foreign_file(folder, "a model folder");
    throw FormatError(
        concat(folder, ": not a folder; give the folder of a Hugging Face checkpoint"));
  }
  OpenCheckpoint result;
  result.stored_config = load_config(folder);
  result.source = TensorSource::open(folder);
  const std::string config_path = folder + "/config.json";
  result.forms = hadal_storage(parse_json_file(config_path), config_path);
  refuse_neighbours_tensors(result.source);
  correct_by_weights(result.stored_config, result.source, with_mtp);
  result.config = result.stored_config;
  if (!with_mtp) result.config.n_mtp = 0;
  check_count(result.config, result.source);
  return result;
}

namespace {

// Scales lie between the codes, a few kilobytes to each megabyte or more of those.
class ScatteredReads {
 public:
  explicit ScatteredReads(const TensorSource& source) : source_(source) {
    for (const auto& file : source_.files()) file->expect(MappedFile::Reading::kScattered);
  }
  ~ScatteredReads() {
    for (const auto& file : source_.files()) file->expect(MappedFile::Reading::kInOrder);
  }
  ScatteredReads(const ScatteredReads&) = delete;
  ScatteredReads& operator=(const ScatteredReads&) = delete;

 private:
  const TensorSource& source_;
};

}  // namespace

std::vector<StoredWeight> find_all_stored(
    const OpenCheckpoint& checkpoint, const std::vector<NamedParam>& params, const HeldPart& held,
    FunctionRef<void(std::span<const StoredWeight>)> before_values) {
  std::vector<StoredWeight> weights;
  std::set<std::string> used;
  for (const NamedParam& param : params) {
    StoredWeight found = find_stored(checkpoint.source, param);
    if (checkpoint.forms) check_form(found, *checkpoint.forms, param);
    for (std::string& name : stored_names(found)) used.insert(std::move(name));
    if (held.holds(param.place)) weights.push_back(std::move(found));
  }
  check_unused(checkpoint, used);
  before_values(weights);
  const ScatteredReads scales(checkpoint.source);
  for (StoredWeight& weight : weights) read_scales(weight);
  return weights;
}

std::vector<StoredWeight> find_all_stored(const OpenCheckpoint& checkpoint,
                                          const std::vector<NamedParam>& params) {
  return find_all_stored(checkpoint, params, HeldPart::whole(checkpoint.config),
                         [](std::span<const StoredWeight>) {});
}

}  // namespace hadal
