#include "hadal/reproduce/replay.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "hadal/core/log.h"
#include "hadal/core/median.h"
#include "hadal/core/number_text.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/manifest.h"
#include "hadal/io/path_status.h"
#include "hadal/model/precision.h"
#include "hadal/reproduce/metrics_difference.h"
#include "hadal/reproduce/tensor_comparison.h"
#include "hadal/train/metrics.h"
#include "hadal/train/phases.h"
#include "hadal/train/pretrain.h"
#include "hadal/train/run_folder.h"
#include "hadal/train/run_history.h"
#include "hadal/train/training_checkpoint.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kAnyStep = std::numeric_limits<int64_t>::max();
constexpr size_t kWindow = 16;

// Where the run is trained again; gone with its owner.
class ScratchFolder {
 public:
  ScratchFolder()
      : path_((fs::temp_directory_path() / concat("hadal-replay-", ::getpid())).string()) {
    fs::remove_all(path_);
    make_folders(path_ + "/checkpoints");
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::vector<Json> events_of(const std::string& run_folder) {
  std::vector<Json> events;
  const std::string path = run_folder + "/stability.jsonl";
  if (!path_exists(path)) return events;
  const std::string text = read_text_file(path);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    events.push_back(parse_json(text.substr(begin, end - begin), path));
    begin = end + 1;
  }
  return events;
}

std::vector<Json> training_lines(const std::string& run_folder, int64_t after, int64_t last_step) {
  std::vector<Json> lines;
  for (Json& line : read_metrics(run_folder, last_step)) {
    if (line.at("split") == Json("train") && line.at("step").as_integer() > after) {
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

OffendingStep worst_spike(const std::vector<Json>& lines) {
  OffendingStep worst;
  double largest = 0.0;
  for (const char* name : {"train/loss", "train/grad_norm"}) {
    std::vector<double> before;
    for (const Json& line : lines) {
      const double value = line.at(name).as_number();
      if (before.size() >= kWindow) {
        const double usual = median_of({before.end() - kWindow, before.end()});
        const double times = usual > 0.0 ? value / usual : 0.0;
        if (times > largest) {
          largest = times;
          worst = {line.at("step").as_integer(),
                   concat(name, " ", printed("%.4g", value), ", ", printed("%.3g", times),
                          " times the median of the ", kWindow, " steps before")};
        }
      }
      before.push_back(value);
    }
  }
  return worst;
}

// The newest whole checkpoint of a step before `step`; "" if the run is to be trained from its beginning.
std::string checkpoint_before(const std::string& run_folder, int64_t step) {
  const std::string checkpoints = run_folder + "/checkpoints";
  const std::vector<int64_t> steps = checkpoint_steps(checkpoints);
  for (auto each = steps.rbegin(); each != steps.rend(); ++each) {
    const std::string folder = checkpoints + "/" + checkpoint_name(*each);
    if (*each < step && find_damage(folder).empty()) return folder;
  }
  return "";
}

// The run's settings, without what only writes files, and with its plan where that followed from a speed.
void put_on_one_rank(TrainConfig& config, const std::string& run_folder) {
  const Json made_by = read_run_history(run_folder);
  const Json::Array& entries = made_by.as_array();
  const int n_ranks = entries.empty() ? 1 : recorded_ranks(entries.back());
  if (n_ranks > 1) {
    log_note("the run was made on ", n_ranks,
             " ranks: computing on one, whose sums end in other bits");
  }
  config.parallel = {};
  config.parallel.data = 1;
}

TrainConfig replayed_config(const std::string& run_folder, const std::string& scratch) {
  TrainConfig config = read_recorded_config(run_folder + "/run.toml");
  put_on_one_rank(config, run_folder);
  config.train.out = scratch;
  config.eval.every_steps = 0;
  config.log.tensorboard = false;
  config.checkpoint.every_seconds = 0;
  const bool rolls_back =
      config.stability.on_spike == "rollback" || config.stability.on_not_finite == "rollback";
  if (!rolls_back) config.checkpoint.every_steps = 0;  // else where it may go back to
  if (config.train.steps == 0 && config.train.tokens == 0) {
    const std::vector<int64_t> steps = checkpoint_steps(run_folder + "/checkpoints");
    config.train.tokens = int64_t{1} << 48;
    if (!steps.empty()) {
      const int64_t planned =
          read_run_progress(run_folder + "/checkpoints/" + checkpoint_name(steps.back()))
              .planned_tokens;
      if (planned > 0) config.train.tokens = planned;
    }
  }
  config.train.max_seconds = 0;
  return config;
}

std::string precision_text(const TrainConfig::Precision& p) {
  std::string text = p.compute;
  for (const auto& [name, own] : {std::pair{"attention", p.attention},
                                  {"dense", p.dense},
                                  {"shared", p.shared},
                                  {"experts", p.experts}}) {
    if (own != "compute" && own != p.compute) text += concat(" (", name, " ", own, ")");
  }
  return text;
}

// What the blocks offer, of all micro-batches in a row; compared with those of an earlier computation.
class BlockOutputs : public Probe {
 public:
  void offer(std::string_view name, int layer, const Tensor& value) override {
    if (name != "hidden" && name != "final_norm" && name != "mtp.hidden") return;
    names_.push_back(layer < 0 ? std::string(name) : concat(name, " of layer ", layer));
    values_.push_back(value.clone(arena_).to_host());
  }

  std::vector<TensorFigures> against(const BlockOutputs& fp32) const {
    std::vector<TensorFigures> figures;
    for (size_t i = 0; i < std::min(values_.size(), fp32.values_.size()); ++i) {
      auto at = std::find_if(figures.begin(), figures.end(),
                             [&](const TensorFigures& f) { return f.name == names_[i]; });
      if (at == figures.end()) {
        figures.push_back({.name = names_[i], .kind = "activation"});
        at = std::prev(figures.end());
      }
      at->add(values_[i], fp32.values_[i]);
    }
    return figures;
  }

  explicit BlockOutputs(Arena& arena) : arena_(arena) {}

 private:
  Arena& arena_;
  std::vector<std::string> names_;
  std::vector<Tensor> values_;
};

struct Computed {
  StepReport report;
  std::vector<Tensor> gradients;  // as optimizer.params(); on the host
};

Computed compute(Context& ctx, TrainState& state, const Batch& batch, const StepPlan& plan,
                 BlockOutputs& outputs) {
  Context listening = ctx;
  listening.probe = &outputs;
  Computed result{compute_gradients(listening, state, batch, plan), {}};
  for (const Trainable& each : state.optimizer.params()) {
    result.gradients.push_back(each.param->grad.clone(ctx.arena).to_host());
  }
  drop_gradients(ctx, state);
  return result;
}

struct Replayed {
  Computed own, fp32;
  std::vector<TensorFigures> tensors;
};

Replayed compute_twice(Context& ctx, TrainState& state, const Batch& batch, const StepPlan& plan) {
  Replayed replayed;
  for (const NamedParam& each : state.params) {
    TensorFigures figures{.name = each.name, .kind = "weight"};
    const Tensor master = each.param->master.clone(ctx.arena).to_host();
    figures.add(master, master);
    replayed.tensors.push_back(std::move(figures));
  }
  Arena host;
  BlockOutputs own(ctx.arena), fp32(ctx.arena);
  replayed.own = compute(ctx, state, batch, plan, own);
  set_precision(state.model, LinearPrecision(Precision::kF32));
  remake_working_weights(ctx, state.model);
  replayed.fp32 = compute(ctx, state, batch, plan, fp32);
  for (TensorFigures& figures : own.against(fp32)) replayed.tensors.push_back(std::move(figures));
  Tensor losses[2] = {Tensor::empty(host, DType::kF32, {1}), Tensor::empty(host, DType::kF32, {1})};
  for (const bool second : {false, true}) {
    const auto loss = static_cast<float>((second ? replayed.fp32 : replayed.own).report.total_loss);
    losses[second ? 1 : 0].read_from(&loss);
  }
  replayed.tensors.push_back({.name = "loss", .kind = "loss"});
  replayed.tensors.back().add(losses[0], losses[1]);
  // A loss that is not finite ends the step before its gradients are whole.
  const auto no_loss = [](const Computed& c) {
    return c.report.not_finite && c.report.not_finite->in_loss;
  };
  if (no_loss(replayed.own) || no_loss(replayed.fp32)) return replayed;
  const std::vector<Trainable>& params = state.optimizer.params();
  for (size_t i = params.size(); i-- > 0;) {
    TensorFigures figures{.name = "gradient of " + params[i].name, .kind = "gradient"};
    figures.add(replayed.own.gradients[i], replayed.fp32.gradients[i]);
    replayed.tensors.push_back(std::move(figures));
  }
  return replayed;
}

Json both(double own, double fp32) { return Json(Json::Object{{"own", own}, {"fp32", fp32}}); }

// Do the steps trained again, and the loss and norm of this one, have the recorded bits? Null where the
// run recorded none of them.
Json repeated(const std::string& run_folder, const std::string& scratch, int64_t from, int64_t step,
              const StepReport& report) {
  const std::vector<Json> recorded = training_lines(run_folder, from, step);
  if (recorded.empty()) return {};
  std::vector<Json> before = recorded;
  bool same = true;
  if (before.back().at("step").as_integer() == step) {
    same = before.back().at("train/loss") == Json(report.loss.ce) &&
           before.back().at("train/grad_norm") == Json(report.grad_norm);
    before.pop_back();
  }
  return same && first_difference(before, training_lines(scratch, from, step - 1)).text.empty();
}

void refuse_unreachable(const std::string& run_folder, int64_t step) {
  require(step >= 1,
          {.field = "step", .problem = "out of range", .found = step, .expected = "at least 1"});
  for (const Json& event : events_of(run_folder)) {
    if (event.at("action") != Json("rollback") || event.at("step").as_integer() >= step) continue;
    throw Unavailable(
        {.place = run_folder,
         .problem = "the run went back over steps before this one, and read other text",
         .found = {"a rollback at step ", event.at("step").as_integer()},
         .expected = "a step before it"});
  }
}

}  // namespace

OffendingStep offending_step(const std::string& run_folder) {
  const std::vector<Json> events = events_of(run_folder);
  if (!events.empty()) {
    const Json& last = events.back();
    return {last.at("step").as_integer(),
            concat(last.at("kind").as_string(), " in stability.jsonl")};
  }
  const OffendingStep worst = worst_spike(training_lines(run_folder, 0, kAnyStep));
  require(worst.step > 0, {.place = run_folder,
                           .problem = "no step of it stands out",
                           .found = "no event, and fewer than 17 steps",
                           .advice = "name one with {step}"});
  return worst;
}

Json replay_step(Context& ctx, const ReplayRequest& request) {
  require(path_exists(request.run + "/run.toml"), {.place = request.run,
                                                   .problem = "not the folder of a run",
                                                   .found = "no run.toml",
                                                   .advice = "give what hadal train wrote"});
  const OffendingStep asked =
      request.step ? OffendingStep{*request.step, "asked for"} : offending_step(request.run);
  refuse_unreachable(request.run, asked.step);
  const ScratchFolder scratch;
  const TrainConfig config = replayed_config(request.run, scratch.path());
  write_file_atomically(scratch.path() + "/run.toml", resolved_toml(config));
  const std::string checkpoint = checkpoint_before(request.run, asked.step);
  int64_t from = 0;
  if (!checkpoint.empty()) {
    const std::string name = fs::path(checkpoint).filename().string();
    from = std::stoll(name.substr(5));
    fs::create_directory_symlink(fs::absolute(checkpoint), scratch.path() + "/checkpoints/" + name);
  }
  std::optional<Replayed> replayed;
  pretrain(ctx, config, /*resume=*/true,
           {.after_step = asked.step - 1,
            .ends_run = false,
            .look = [&](TrainState& state, const Batch& batch, const StepPlan& plan) {
              replayed = compute_twice(ctx, state, batch, plan);
            }});
  require(replayed.has_value(), {.field = "step",
                                 .problem = "beyond the run's end",
                                 .found = asked.step,
                                 .advice = "name an earlier one"});
  const std::string precision = precision_text(config.precision);
  const Finding finding = judge(replayed->tensors, precision, request.departs_at);
  const StepReport &own = replayed->own.report, &fp32 = replayed->fp32.report;
  Json tensors = Json::array();
  for (const TensorFigures& each : replayed->tensors) tensors.push_back(figures_json(each));
  Json report = Json::object();
  report["step"] = asked.step;
  report["why"] = asked.why;
  report["from_step"] = from;
  report["precision"] = precision;
  report["repeated"] = repeated(request.run, scratch.path(), from, asked.step, own);
  report["loss"] = both(own.loss.ce, fp32.loss.ce);
  report["grad_norm"] = both(own.grad_norm, fp32.grad_norm);
  report["verdict"] = finding.verdict;
  report["first"] = finding.first ? Json(finding.first->name) : Json();
  report["tensors"] = std::move(tensors);
  return report;
}

}  // namespace hadal
