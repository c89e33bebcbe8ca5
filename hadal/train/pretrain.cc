#include "hadal/train/pretrain.h"

#include <filesystem>
#include <memory>

#include "hadal/core/clock.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"
#include "hadal/train/first_state.h"
#include "hadal/train/held_out.h"
#include "hadal/train/metrics.h"
#include "hadal/train/phases.h"
#include "hadal/train/report.h"
#include "hadal/train/retiling_count.h"
#include "hadal/train/run_files.h"
#include "hadal/train/run_history.h"
#include "hadal/train/run_opening.h"
#include "hadal/train/run_plan.h"
#include "hadal/train/run_start.h"
#include "hadal/train/run_summary.h"
#include "hadal/train/stability.h"
#include "hadal/train/step_figures.h"
#include "hadal/train/trainer.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

// One process's part of a phase: from its start, or from a checkpoint, to its end or an interruption.
class Session {
 public:
  Session(Context& ctx, Trainer& trainer, const RunFolder& run, const TrainConfig& config,
          bool resume, const TrainStop& stop)
      : ctx_(ctx),
        trainer_(trainer),
        run_(run),
        stop_(stop),
        start_(find_run_start(run_, config, resume)),
        whole_(settled(config, start_, trainer.threads())),
        config_(current_phase(whole_, start_)),
        data_(prepare()),
        shape_(start_.shape ? *start_.shape : shape_for(config_, data_.tokenizer)),
        held_out_(held_out_rows(data_, shape_, config_.eval.sequences, config_.train.seq_len)),
        count_(trainer.begin(config_, shape_, start_)),
        plan_(config_),
        watch_(config_.stability) {
    check_room(config_, shape_, data_.tokenizer.vocab_size());
    if (!start_.checkpoint.empty()) {
      restore();
    } else if (resume) {
      log_note(run_.path(), ": no checkpoint yet, starting from the beginning");
    }
    trainer_.remake_working_weights();
    open_metrics();
    events_ = std::make_unique<StabilityEvents>(run_.path(), watch_.state().n_events);
    since_ = {count_.steps, data_.train->position()};
  }

  bool in_last_phase() const { return start_.phase() + 1 == n_phases(whole_); }

  // Was this the last of the run, or what was asked for?
  bool ends_run() const { return in_last_phase() || left_; }

  // Null at the end of a phase that another one follows.
  Json train() {
    started_ = last_save_ = monotonic_seconds();
    fraction_at_start_ = plan_.fraction_done(clock(), elapsed());
    if (n_phases(whole_) > 1) {
      log_note("phase ", start_.phase() + 1, " of ", n_phases(whole_), ": ",
               phase_name(whole_, start_.phase()));
    }
    for (const std::string& line : opening_lines(shape_, data_, plan_, config_)) log_note(line);
    warn_of_warmup();
    if (in_last_phase() && plan_.finished(clock(), elapsed())) {
      log_note(run_.path(), ": nothing left of the plan of ", plan_.planned_tokens(),
               " tokens; a longer one: --set train.max_seconds=0 --set train.tokens=N");
    }
    if (watch_.rolls_back() && start_.checkpoint.empty()) save();  // the first place to go back to
    while (!done() && !stopped() && !interrupted()) {
      if (!one_step()) continue;
      if (due(config_.eval.every_steps)) evaluate_now();
      const double unsaved = monotonic_seconds() - last_save_;
      const double interval = config_.checkpoint.every_seconds;
      const bool wanted =
          due(config_.checkpoint.every_steps) || (interval > 0 && unsaved >= interval);
      if (wanted && !done()) save();
    }
    if (stopped() && stop_.look && !done()) {
      const auto [batch, plan] = next_batch();
      stop_.look(*trainer_.whole_state(), batch, plan);
      left_ = true;
      return {};
    }
    const bool at_end = done();
    if (at_end && !evaluated_at(count_.steps)) evaluate_now();
    if (at_end && !in_last_phase()) {
      end_phase();
      left_ = stopped() && !stop_.look;
      return {};
    }
    save();
    left_ = stopped();
    if (!at_end && !stopped()) {
      throw Interrupted(Complaint{
          .place = "train",
          .problem = {"stopped by a signal after step ", count_.steps, ", saved in ", checkpoint_},
          .advice = {"go on with hadal train {resume} {out} ", run_.path()}});
    }
    return finish(at_end);
  }

 private:
  bool stopped() const { return stop_.after_step && count_.steps >= *stop_.after_step; }
  bool done() const { return plan_.finished(clock(), elapsed()) || (stopped() && stop_.ends_run); }

  void record_settings(int64_t step) {
    write_file_atomically(run_.path() + "/run.toml", resolved_toml(whole_));
    record_circumstances(run_.path(), step, circumstances(ctx_, whole_, trainer_.n_ranks()));
  }

  PreparedData prepare() {
    if (!stop_.after_step) require_texts(whole_, start_.phase() + 1);
    // Settings that a checkpoint refuses must not become the run's: those wait for restore().
    if (start_.checkpoint.empty()) record_settings(0);
    if (start_.checkpoint.empty() || start_.begins_phase) {
      write_run_files(run_.path(), config_.data.paths);
    }
    return prepare_data(config_.data, ctx_.pool);
  }

  void restore_position() {
    try {
      data_.train->restore(progress_.data_position);
    } catch (const FormatError&) {
      const std::string changed = changed_run_files(run_.path(), config_.data.paths);
      if (changed.empty()) throw;
      throw FormatError(
          {.place = run_.path(),
           .problem = "the text is not the one that the run began with",
           .found = changed,
           .advice = "put it back; to train on other text, begin a run with model.init"});
    }
  }

  void restore() {
    checkpoint_ = start_.checkpoint;
    progress_ = trainer_.restore(checkpoint_);
    if (!progress_.stability.is_null()) watch_.restore(stability_from(progress_.stability));
    if (start_.begins_phase) {
      watch_.begin_phase();
      progress_.planned_tokens = plan_.planned_tokens();
    } else {
      restore_position();
    }
    plan_.restore(progress_.planned_tokens, progress_.elapsed_seconds);
    saved_step_ = count_.steps;
    record_settings(count_.steps);
    log_note("going on from ", checkpoint_, ", step ", count_.steps);
    warn(plan_change_warning(config_, progress_.planned_tokens, plan_, clock()));
  }

  static void warn(const std::string& text) {
    if (!text.empty()) log_warning(text);
  }
  // Once, when the plan is known: a run limited by time alone makes it on the way.
  void warn_of_warmup() {
    if (warmup_judged_ || plan_.planned_tokens() == 0) return;
    warmup_judged_ = true;
    warn(warmup_warning(config_, plan_));
  }

  std::pair<Batch, StepPlan> next_batch() {
    const int64_t n = batch_sequences(batch_ramp(config_), clock().tokens);
    Batch batch = data_.train->next(n);
    const StepPlan plan = plan_step(n * batch.length);
    return {std::move(batch), plan};
  }

  // False: the run went back to an earlier step.
  bool one_step() {
    const double begin = monotonic_seconds();
    const Json position = data_.train->position();
    const auto [batch, plan] = next_batch();
    RetilingCount retiling;
    const StepReport report =
        trainer_.compute_gradients(batch, plan, config_.log.retiling ? &retiling : nullptr);
    const Json thresholds = watch_.thresholds();
    if (const auto trouble = watch_.find_trouble(report, count_.steps + 1)) {
      if (!treat(*trouble, report, batch, plan, position)) return false;
    } else {
      update(report, batch, plan);
    }
    const double seconds = monotonic_seconds() - begin;
    plan_.observe(clock(), elapsed());
    tokens_trained_ += batch.n_sequences * batch.length;
    seconds_trained_ += seconds;
    warn_of_warmup();
    const double done = plan_.fraction_done(clock(), elapsed());
    // The first step pays for fresh memory; two more say how fast the others are.
    if (++steps_here_ == 3 && done < 1.0) log_note(expected_end(seconds_left(done)));

    const StepFigures figures = step_figures(report, batch, data_.target_bytes(batch), seconds);
    const bool with_load = due(config_.log.load_every_steps) || count_.steps == 1;
    Json values = step_metrics(report, plan, figures, with_load);
    for (const Json& more : {layer_metrics(report.layers), thresholds, watch_.counts(),
                             config_.log.retiling ? retiling.metrics() : Json::object()}) {
      for (const auto& [name, value] : more.as_object()) values[name] = value;
    }
    metrics_->write(count_.steps, count_.tokens, "train", values);
    if (line_.due()) {
      line_.show(progress_text(figures, count_.steps, done, seconds_left(done)));
    }
    return true;
  }

  void update(const StepReport& report, const Batch& batch, const StepPlan& plan) {
    trainer_.update(batch, plan, report);
    watch_.took(report, count_.steps);
  }

  // What [stability] asks for. False: the run went back.
  bool treat(const Trouble& trouble, const StepReport& report, const Batch& batch,
             const StepPlan& plan, const Json& position) {
    const int64_t step = count_.steps + 1;
    const Remedy remedy = watch_.remedy(trouble);
    events_->write(trouble_record(trouble, remedy, step, position, since_));
    if (remedy == Remedy::kStop) throw Error(watch_.last_words(trouble));
    watch_.met(trouble, remedy, step);
    if (remedy == Remedy::kRollback) {
      roll_back(trouble);
      return false;
    }
    log_warning(trouble.text, remedy == Remedy::kSkip ? "; no update from this batch" : "");
    if (remedy == Remedy::kSkip) {
      trainer_.skip(batch);
    } else {
      update(report, batch, plan);
    }
    return true;
  }

  // The state of the newest place; the text stays where it is, behind the batch that went wrong.
  void roll_back(const Trouble& trouble) {
    const auto place = find_valid_checkpoint(run_, [this](int64_t step) { return is_place(step); });
    if (!place) {
      throw Error(concat("train: ", trouble.text,
                         "; there is no checkpoint to go back to (expected one of a step that "
                         "checkpoint.every_steps divides)"));
    }
    checkpoint_ = *place;
    const RunProgress then = trainer_.restore(checkpoint_);
    discard_checkpoints_after(run_, count_.steps);
    trainer_.drop_gradients();
    trainer_.remake_working_weights();
    progress_.evaluations = then.evaluations;
    if (!then.stability.is_null()) watch_.go_back(stability_from(then.stability));
    if (count_.steps == phase_begin().steps) watch_.begin_phase();
    plan_.restore(plan_.planned_tokens(), elapsed());
    saved_step_ = count_.steps;
    since_ = {count_.steps, data_.train->position()};
    open_metrics();
    log_warning(trouble.text, "; back to ", checkpoint_, " and on with the text behind this batch");
  }

  // Where a rollback may go: steps that do not depend on the machine's speed or on interruptions.
  bool is_place(int64_t step) const {
    const int64_t begin = phase_begin().steps;
    return step == begin || (step > begin && step % config_.checkpoint.every_steps == 0);
  }
  std::optional<int64_t> newest_place() const {
    std::optional<int64_t> newest;
    for (const int64_t step : checkpoint_steps(run_.checkpoints())) {
      if (step <= count_.steps && is_place(step)) newest = step;
    }
    return is_place(count_.steps) ? count_.steps : newest;
  }

  void open_metrics() {
    metrics_.reset();
    metrics_ = std::make_unique<Metrics>(run_.path(), fs::path(run_.path()).filename().string(),
                                         count_.steps, config_.log.tensorboard);
  }

  StepPlan plan_step(int64_t batch_tokens) const {
    const TrainConfig::Loss& loss = config_.loss;
    StepPlan plan;
    plan.learning_rate =
        learning_rate(plan_.learning_rates(), {clock().steps, clock().tokens, batch_tokens});
    plan.clip_norm = config_.optimizer.clip_norm;
    const int64_t seen = clock().tokens;
    const SwitchSchedule mtp{loss.mtp_weight, loss.mtp_weight_late, loss.mtp_late_from_tokens};
    plan.loss.mtp = static_cast<float>(mtp.at(seen));
    plan.loss.balance = static_cast<float>(loss.balance_alpha);
    const SwitchSchedule bias{loss.bias_gamma, loss.bias_gamma_late, loss.bias_late_from_tokens};
    plan.bias_gamma = bias.at(seen);
    plan.ema_decay = config_.optimizer.ema_decay;
    plan.micro_batch_sequences = micro_batch_sequences(config_);
    plan.recompute = recompute_policy(config_.train.recompute, model_precision(config_.precision));
    const int64_t step = count_.steps + 1;
    plan.choose_by_older_router = watch_.chooses_by_older_router(step);
    plan.with_layers = config_.log.layers_every_steps > 0 &&
                       (step % config_.log.layers_every_steps == 0 || step == 1);
    return plan;
  }

  void evaluate_now() {
    if (held_out_.empty()) return;
    const Evaluation result = trainer_.evaluate(held_out_);
    metrics_->write(count_.steps, count_.tokens, "val", evaluation_metrics(result));
    progress_.evaluations.push_back(evaluation_record(result, count_.steps, count_.tokens));
    if (!terminal().quiet) line_.finish(evaluation_text(result, count_.steps));
  }

  void save() {
    metrics_->sync();  // lines up to this step cannot be written again
    if (saved_step_ == count_.steps) return;
    progress_.data_position = data_.train->position();
    progress_.planned_tokens = plan_.planned_tokens();
    write_checkpoint();
  }

  // Written in place of one of the same step: now it is where the next phase begins.
  void end_phase() {
    metrics_->sync();
    progress_.phases.push_back({count_.steps, count_.tokens, data_.train->position()});
    progress_.data_position = Json();
    progress_.planned_tokens = 0;
    write_checkpoint();
  }

  void write_checkpoint() {
    since_ = {count_.steps, data_.train->position()};
    if (watch_.on()) progress_.stability = stability_json(watch_.state());
    RunProgress now = progress_;
    now.elapsed_seconds = elapsed();
    checkpoint_ = trainer_.save(run_, now, checkpoint_options());
    saved_step_ = count_.steps;
    write_report(run_.path(), config_, shape_, count_.steps);
    last_save_ = monotonic_seconds();
  }

  TrainingCheckpointOptions checkpoint_options() const {
    TrainingCheckpointOptions options;
    const std::string& dtype = config_.checkpoint.dtype;
    options.dtype = dtype == "f32"   ? SaveDType::kF32
                    : dtype == "fp8" ? SaveDType::kFP8
                                     : SaveDType::kBF16;
    options.keep = config_.checkpoint.keep;
    if (watch_.rolls_back()) options.keep_too = newest_place();
    options.tokenizer_files = files_in(data_.tokenizer_folder);
    options.save_clock = config_.train.max_seconds > 0;
    return options;
  }

  // `at_end`: of the plan, not before it.
  Json finish(bool at_end) {
    RunEnd end;
    end.checkpoint = checkpoint_;
    end.tokens_per_s =
        seconds_trained_ > 0 ? static_cast<double>(tokens_trained_) / seconds_trained_ : 0.0;
    if (at_end && config_.optimizer.ema_decay > 0) {
      trainer_.swap_average();
      end.ema = trainer_.evaluate(held_out_);
      end.ema_folder = trainer_.save_average(run_, checkpoint_options());
      trainer_.swap_average();
    }
    return run_summary(run_.path(), count_, progress_, end);
  }

  bool due(int64_t every) const { return every > 0 && count_.steps % every == 0; }
  bool evaluated_at(int64_t step) const {
    const Json::Array& done = progress_.evaluations.as_array();
    return !done.empty() && done.back().at("step").as_integer() == step;
  }
  PhaseBegin phase_begin() const {
    return start_.phases.empty() ? PhaseBegin{} : start_.phases.back();
  }
  // Of the phase.
  TrainingClock clock() const {
    const PhaseBegin begin = phase_begin();
    return {count_.steps - begin.steps, count_.tokens - begin.tokens, 0};
  }
  // Of the whole run, former sessions included.
  double elapsed() const { return progress_.elapsed_seconds + monotonic_seconds() - started_; }
  double seconds_left(double fraction_done) const {
    const double here = monotonic_seconds() - started_;
    const double done_here = fraction_done - fraction_at_start_;
    return done_here > 0 ? here * (1.0 - fraction_done) / done_here : 0.0;
  }

  Context& ctx_;
  Trainer& trainer_;
  const RunFolder& run_;
  const TrainStop& stop_;
  RunStart start_;
  TrainConfig whole_;   // the run's settings
  TrainConfig config_;  // the phase's
  PreparedData data_;
  ModelConfig shape_;
  std::vector<HeldOutBatch> held_out_;
  const StepCount& count_;
  RunPlan plan_;
  RunProgress progress_;
  StabilityWatch watch_;
  std::unique_ptr<StabilityEvents> events_;
  StepsSince since_;
  std::unique_ptr<Metrics> metrics_;
  ProgressLine line_;
  std::string checkpoint_;
  int64_t saved_step_ = -1;
  double started_ = 0.0, last_save_ = 0.0, fraction_at_start_ = 0.0;
  double seconds_trained_ = 0.0;
  int64_t tokens_trained_ = 0, steps_here_ = 0;
  bool warmup_judged_ = false;
  bool left_ = false;  // where stop_ says
};

}  // namespace

Json pretrain(Context& ctx, Trainer& trainer, const TrainConfig& config, bool resume,
              const TrainStop& stop) {
  config.validate();
  if (!resume) {  // a mistake in a shape or a path must not leave a folder behind
    for (int64_t i = 0; i < n_phases(config); ++i) model_shape(config_of_phase(config, i), 0);
    require_texts(config, 1);
  }
  const RunFolder run(config.train.out, resume);
  for (;; resume = true) {
    Session session(ctx, trainer, run, config, resume, stop);
    Json summary = session.train();
    if (session.ends_run()) return summary;
  }
}

Json pretrain(Context& ctx, const TrainConfig& config, bool resume, const TrainStop& stop) {
  LocalTrainer alone(ctx);
  return pretrain(ctx, alone, config, resume, stop);
}

}  // namespace hadal
