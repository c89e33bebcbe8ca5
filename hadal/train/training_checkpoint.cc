#include "hadal/train/training_checkpoint.h"

#include <filesystem>
#include <utility>

#include "hadal/core/log.h"
#include "hadal/io/atomic_folder.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/manifest.h"
#include "hadal/train/state_tensors.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStateJson = "state.json";

// Every tensor of the training state under its name in the file, in a fixed order.
template <class Take>
void for_each_state_tensor(TrainState& state, const Take& take) {
  std::vector<Tensor>* average = state.average ? &state.average->tensors() : nullptr;
  for (const NamedParam& each : state.params) take("master." + each.name, each.param->master);
  const std::vector<Trainable>& params = state.optimizer.params();
  for (size_t i = 0; i < params.size(); ++i) {
    take("m." + params[i].name, state.optimizer.moments()[i].m);
    take("v." + params[i].name, state.optimizer.moments()[i].v);
    if (average) take("ema." + params[i].name, (*average)[i]);
  }
  state.routers.for_each(take);
}

Json state_json(const StepCount& count, int64_t optimizer_steps, const RunProgress& progress,
                bool save_clock) {
  Json json = Json::object();
  json["format"] = "hadal training state 1";
  json["step"] = count.steps;
  json["tokens"] = count.tokens;
  json["optimizer_steps"] = optimizer_steps;
  json["planned_tokens"] = progress.planned_tokens;
  if (save_clock) json["elapsed_seconds"] = progress.elapsed_seconds;
  json["data_position"] = progress.data_position;
  for (const PhaseBegin& phase : progress.phases) {
    if (!json.find("phases")) json["phases"] = Json::array();
    json["phases"].push_back(
        Json(Json::Object{{"step", phase.steps}, {"tokens", phase.tokens}, {"read", phase.read}}));
  }
  json["evaluations"] = progress.evaluations;
  if (!progress.stability.is_null()) json["stability"] = progress.stability;
  return json;
}

void prune(const RunFolder& run, int64_t keep, std::optional<int64_t> keep_too) {
  const std::vector<int64_t> steps = checkpoint_steps(run.checkpoints());
  for (size_t i = 0; i + static_cast<size_t>(keep) < steps.size(); ++i) {
    if (steps[i] == keep_too) continue;
    discard_folder(run.checkpoints() + "/" + checkpoint_name(steps[i]));
  }
}

// Out of the way, so that it neither counts as one of the last good ones nor is found again.
void move_aside(const RunFolder& run, int64_t step, const std::string& damage) {
  const std::string folder = run.checkpoints() + "/" + checkpoint_name(step);
  const std::string aside = run.checkpoints() + "/damaged-" + checkpoint_name(step);
  discard_folder(aside);
  rename_path(folder, aside);
  log_warning(folder, ": damaged (", damage, "); moved to ", aside,
              ", going back to the one before");
}

RunProgress progress_of(const Json& state) {
  RunProgress progress;
  progress.data_position = state.at("data_position");
  progress.planned_tokens = state.at("planned_tokens").as_integer();
  progress.evaluations = state.at("evaluations");
  if (const Json* clock = state.find("elapsed_seconds")) {
    progress.elapsed_seconds = clock->as_number();
  }
  if (const Json* stability = state.find("stability")) progress.stability = *stability;
  if (const Json* phases = state.find("phases")) {
    for (const Json& phase : phases->as_array()) {
      progress.phases.push_back(
          {phase.at("step").as_integer(), phase.at("tokens").as_integer(), phase.at("read")});
    }
  }
  return progress;
}

}  // namespace

RunProgress read_run_progress(const std::string& folder) {
  return progress_of(parse_json_file(folder + "/" + kStateJson));
}

void save_model_folder(Context& ctx, const std::string& folder, DeepseekV3& model,
                       const TrainingCheckpointOptions& options) {
  SaveOptions save;
  save.dtype = options.dtype;
  save_model(ctx, folder, model, save);
  copy_tokenizer(folder, options);
}

void copy_tokenizer(const std::string& folder, const TrainingCheckpointOptions& options) {
  for (const std::string& file : options.tokenizer_files) {
    write_file_atomically(folder + "/" + fs::path(file).filename().string(), read_text_file(file));
  }
}

std::string save_training_checkpoint(const RunFolder& run, const StepCount& count,
                                     int64_t optimizer_steps, const RunProgress& progress,
                                     const TrainingCheckpointOptions& options,
                                     FunctionRef<void(const std::string& folder)> write_tensors) {
  const std::string name = checkpoint_name(count.steps);
  remove_abandoned(run.checkpoints(), [](const std::string& other) {
    return other.starts_with("step-") || other.starts_with("damaged-step-");
  });
  AtomicFolder folder(run.checkpoints() + "/" + name);
  const std::string& temporary = folder.temporary();
  write_tensors(temporary);
  write_file_atomically(
      temporary + "/" + kStateJson,
      state_json(count, optimizer_steps, progress, options.save_clock).dump(2) + "\n");
  write_manifest(temporary);
  folder.commit();
  replace_link(run.latest(), "checkpoints/" + name);
  prune(run, options.keep, options.keep_too);
  return run.checkpoints() + "/" + name;
}

std::string save_training_checkpoint(Context& ctx, const RunFolder& run, TrainState& state,
                                     const RunProgress& progress,
                                     const TrainingCheckpointOptions& options) {
  const auto write_tensors = [&](const std::string& folder) {
    save_model_folder(ctx, folder, state.model, options);
    std::vector<std::pair<std::string, const Tensor*>> tensors;
    for_each_state_tensor(state, [&](const std::string& name, const Tensor& tensor) {
      tensors.emplace_back(name, &tensor);
    });
    write_safetensors(folder + "/" + state_file_name(0, 1), tensors);
  };
  return save_training_checkpoint(run, state, state.optimizer.steps(), progress, options,
                                  write_tensors);
}

void discard_checkpoints_after(const RunFolder& run, int64_t step) {
  const std::vector<int64_t> steps = checkpoint_steps(run.checkpoints());
  for (auto later = steps.rbegin(); later != steps.rend() && *later > step; ++later) {
    discard_folder(run.checkpoints() + "/" + checkpoint_name(*later));
  }
}

std::optional<std::string> find_valid_checkpoint(const RunFolder& run,
                                                 const std::function<bool(int64_t)>& counts) {
  std::vector<int64_t> steps = checkpoint_steps(run.checkpoints());
  if (counts) std::erase_if(steps, [&](int64_t step) { return !counts(step); });
  std::vector<std::pair<int64_t, std::string>> damaged;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const std::string folder = run.checkpoints() + "/" + checkpoint_name(*step);
    const std::string damage = find_damage(folder);
    if (damage.empty()) {
      for (const auto& [other, why] : damaged) move_aside(run, other, why);
      // It may name one that was moved, or the power failed before it was switched.
      replace_link(run.latest(), "checkpoints/" + checkpoint_name(*step));
      return folder;
    }
    damaged.emplace_back(*step, damage);
  }
  if (damaged.empty()) return std::nullopt;
  throw FormatError(
      {.place = run.checkpoints(),
       .problem = "every checkpoint is damaged",
       .found = {checkpoint_name(damaged.front().first), ": ", damaged.front().second},
       .expected = "one that its manifest.json agrees with",
       .advice = "move the folder away to begin the run again"});
}

RunProgress load_training_checkpoint(const std::string& folder, TrainState& state) {
  const StateTensors stored(folder);
  size_t expected = 0;
  for_each_state_tensor(state, [&](const std::string& name, Tensor& tensor) {
    ++expected;
    stored.read(name, tensor);
  });
  if (stored.n_tensors() != expected) {
    throw FormatError({.place = folder,
                       .problem = "its training state belongs to another run",
                       .found = {stored.n_tensors(), " tensors"},
                       .expected = expected,
                       .advice = "resume with the settings it was started with"});
  }
  return read_counts(folder, state, state.optimizer);
}

RunProgress read_counts(const std::string& folder, StepCount& count, AdamW& optimizer) {
  const Json json = parse_json_file(folder + "/" + kStateJson);
  count.steps = json.at("step").as_integer();
  count.tokens = json.at("tokens").as_integer();
  optimizer.set_steps(json.at("optimizer_steps").as_integer());
  return progress_of(json);
}

}  // namespace hadal
