#include "hadal/train/team_trainer.h"

#include "hadal/comm/collectives.h"
#include "hadal/io/atomic_folder.h"
#include "hadal/model/config.h"

namespace hadal {
namespace {

Json plan_json(const StepPlan& plan) {
  return Json(Json::Object{{"learning_rate", plan.learning_rate},
                           {"clip_norm", plan.clip_norm},
                           {"mtp", double{plan.loss.mtp}},
                           {"balance", double{plan.loss.balance}},
                           {"balance_count", static_cast<int64_t>(plan.loss.balance_count)},
                           {"bias_gamma", plan.bias_gamma},
                           {"ema_decay", plan.ema_decay},
                           {"micro_batch_sequences", plan.micro_batch_sequences}});
}

StepPlan plan_from(const Json& json) {
  StepPlan plan;
  plan.learning_rate = json.at("learning_rate").as_number();
  plan.clip_norm = json.at("clip_norm").as_number();
  plan.loss.mtp = static_cast<float>(json.at("mtp").as_number());
  plan.loss.balance = static_cast<float>(json.at("balance").as_number());
  plan.loss.balance_count = static_cast<BalanceCount>(json.at("balance_count").as_integer());
  plan.bias_gamma = json.at("bias_gamma").as_number();
  plan.ema_decay = json.at("ema_decay").as_number();
  plan.micro_batch_sequences = json.at("micro_batch_sequences").as_integer();
  return plan;
}

Json options_json(const std::string& folder, const TrainingCheckpointOptions& options) {
  return Json(Json::Object{{"folder", folder}, {"dtype", static_cast<int64_t>(options.dtype)}});
}

TrainingCheckpointOptions options_from(const Json& json) {
  TrainingCheckpointOptions options;
  options.dtype = static_cast<SaveDType>(json.at("dtype").as_integer());
  return options;
}

// What all ranks do together for a checkpoint; it is on the disk everywhere when it returns.
void write_tensors(TeamMember& me, const std::string& folder,
                   const TrainingCheckpointOptions& options, bool with_state) {
  me.write_model(folder, options);
  if (with_state) me.write_state(folder);
  barrier(me.world(), me.context().arena);
}

std::vector<HeldOutBatch> held_out_from(TeamCommand& command) {
  std::vector<HeldOutBatch> held_out;
  const Json::Array& bytes = command.what.at("bytes").as_array();
  for (size_t i = 0; i < command.batches.size(); ++i) {
    held_out.push_back({std::move(command.batches[i]), bytes[i].as_integer()});
  }
  return held_out;
}

// False: the run has ended.
bool obey(TeamMember& me, TeamCommand command) {
  const std::string& verb = command.verb();
  const Json& what = command.what;
  if (verb == "begin") {
    me.begin(parse_recorded_config(what.at("settings").as_string()),
             config_from_hf(what.at("shape"), "shape"), what.at("from_checkpoint").as_bool());
  } else if (verb == "restore") {
    me.restore(what.at("checkpoint").as_string());
  } else if (verb == "gradients") {
    me.compute_gradients(command.batches.at(0), plan_from(what.at("plan")));
  } else if (verb == "update") {
    me.update(command.batches.at(0), plan_from(what.at("plan")));
  } else if (verb == "skip") {
    me.skip(command.batches.at(0));
  } else if (verb == "drop") {
    me.drop_gradients();
  } else if (verb == "evaluate") {
    me.evaluate(held_out_from(command));
  } else if (verb == "save") {
    write_tensors(me, what.at("folder").as_string(), options_from(what), true);
  } else if (verb == "save_average") {
    write_tensors(me, what.at("folder").as_string(), options_from(what), false);
  } else if (verb == "show_average") {
    me.show_average();
  } else if (verb == "show_weights") {
    me.show_weights();
  } else {
    return false;
  }
  return true;
}

// Without its tokens: what an update needs to count.
Batch counted(const Batch& batch) { return {batch.n_sequences, batch.length, {}, {}}; }

}  // namespace

void TeamTrainer::tell(Json what, std::vector<Batch> batches) {
  hadal::tell(me_.world(), me_.context().arena, {std::move(what), std::move(batches)});
}

const StepCount& TeamTrainer::begin(const TrainConfig& config, const ModelConfig& shape,
                                    const RunStart& start) {
  const bool from_checkpoint = !start.checkpoint.empty();
  tell(Json(Json::Object{{"do", "begin"},
                         {"settings", resolved_toml(config)},
                         {"shape", config_to_hf(shape)},
                         {"from_checkpoint", from_checkpoint}}));
  settled_ = false;
  const StepCount& count = me_.begin(config, shape, from_checkpoint);
  settled_ = true;
  return count;
}

RunProgress TeamTrainer::restore(const std::string& checkpoint) {
  tell(Json(Json::Object{{"do", "restore"}, {"checkpoint", checkpoint}}));
  return together([&] { return me_.restore(checkpoint); });
}

StepReport TeamTrainer::compute_gradients(const Batch& batch, const StepPlan& plan, Probe*) {
  tell(Json(Json::Object{{"do", "gradients"}, {"plan", plan_json(plan)}}), {batch});
  return together([&] { return me_.compute_gradients(batch, plan); });
}

void TeamTrainer::update(const Batch& batch, const StepPlan& plan, const StepReport&) {
  tell(Json(Json::Object{{"do", "update"}, {"plan", plan_json(plan)}}), {counted(batch)});
  together([&] { me_.update(batch, plan); });
}

void TeamTrainer::skip(const Batch& batch) {
  tell(Json(Json::Object{{"do", "skip"}}), {counted(batch)});
  together([&] { me_.skip(batch); });
}

void TeamTrainer::drop_gradients() {
  tell(Json(Json::Object{{"do", "drop"}}));
  together([&] { me_.drop_gradients(); });
}

Evaluation TeamTrainer::evaluate(const std::vector<HeldOutBatch>& held_out) {
  Json what(Json::Object{{"do", "evaluate"}, {"bytes", Json::array()}});
  std::vector<Batch> batches;
  for (const HeldOutBatch& each : held_out) {
    what["bytes"].push_back(each.bytes);
    batches.push_back(each.batch);
  }
  tell(std::move(what), std::move(batches));
  return together([&] { return me_.evaluate(held_out); });
}

std::string TeamTrainer::save(const RunFolder& run, const RunProgress& progress,
                              const TrainingCheckpointOptions& options) {
  return save_training_checkpoint(run, me_.count(), me_.updates(), progress, options,
                                  [&](const std::string& folder) {
                                    Json what = options_json(folder, options);
                                    what["do"] = "save";
                                    tell(std::move(what));
                                    together([&] { write_tensors(me_, folder, options, true); });
                                  });
}

void TeamTrainer::swap_average() {
  average_shown_ = !average_shown_;
  tell(Json(Json::Object{{"do", average_shown_ ? "show_average" : "show_weights"}}));
  together([&] { average_shown_ ? me_.show_average() : me_.show_weights(); });
}

std::string TeamTrainer::save_average(const RunFolder& run,
                                      const TrainingCheckpointOptions& options) {
  const std::string folder = run.path() + "/ema";
  AtomicFolder whole(folder);
  Json what = options_json(whole.temporary(), options);
  what["do"] = "save_average";
  tell(std::move(what));
  together([&] { write_tensors(me_, whole.temporary(), options, false); });
  whole.commit();
  return folder;
}

void TeamTrainer::end() { tell(Json(Json::Object{{"do", "end"}})); }

void follow(Context& ctx, Communicator& world) {
  TeamMember me(ctx, world);
  while (obey(me, hear(world, ctx.arena))) {
  }
}

}  // namespace hadal
