// train/config.h: everything that defines a pre-training run; RUN.toml spelled as a struct.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "hadal/data/dataset.h"
#include "hadal/model/config.h"
#include "hadal/model/loss.h"
#include "hadal/model/precision.h"
#include "hadal/optim/adamw.h"
#include "hadal/optim/learning_rate.h"
#include "hadal/train/settings.h"

namespace hadal {

struct TrainConfig {
  // [model] A preset or a config.json, whose keys further keys override; or the folder of a model to
  // go on from, with its shape, weights and tokenizer.
  struct Model {
    std::string preset, config, init;
    double init_std = 0.006;
    Json overrides = Json::object();
  } model;

  DataConfig data;  // [data]

  // [train] The run ends at `steps`, `tokens` or `max_seconds`, whichever comes first.
  struct Train {
    int64_t seq_len = 256;
    int64_t batch_sequences = 8;
    int64_t batch_ramp_start_sequences = 0, batch_ramp_tokens = 0;
    int64_t micro_batch_sequences = 0;  // 0: chosen_micro_batch
    std::string recompute = "auto";     // or selective, none: recompute_policy
    int64_t steps = 0, tokens = 0;
    double max_seconds = 0;
    int64_t seed = 0;
    std::string out;
  } train;

  // [optimizer] Boundaries left at 0 are the shares of the planned tokens that V3 used: constant to
  // 67.6 %, cosine to 96.6 %, tail to 98.9 %, and from there the last rate.
  struct Optimizer {
    double learning_rate = 2.2e-4;
    double end_share = 0.1, tail_share = 0.033;  // of learning_rate: 2.2e-5 and 7.3e-6 in V3
    int64_t warmup_steps = 2000, warmup_tokens = 0;
    int64_t constant_until_tokens = 0, decay_until_tokens = 0, tail_until_tokens = 0;
    double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1, clip_norm = 1.0;
    std::string moment_dtype = "f32";
    double ema_decay = 0.0;
  } optimizer;

  // [loss]
  struct Loss {
    double mtp_weight = 0.3, mtp_weight_late = 0.1;
    int64_t mtp_late_from_tokens = 0;
    double balance_alpha = 1e-4;
    double bias_gamma = 1e-3, bias_gamma_late = 0.0;
    int64_t bias_late_from_tokens = 0;
  } loss;

  // [precision] Of the products of linears: "fp32", "bf16" or "fp8"; of a class, or as compute says.
  struct Precision {
    std::string compute = "fp32";
    std::string attention = "compute", dense = "compute", shared = "compute", experts = "compute";
    std::string scales = "power-of-two";      // of FP8
    std::string weight_gradient = "retiled";  // where FP8's 128x1 tiles come from
    std::string norms = "inputs";             // what of norms waits in FP8
  } precision;

  struct Eval {  // [eval]
    int64_t every_steps = 200;
    int64_t sequences = 64;  // of the validation split, the same ones every time
  } eval;

  struct Checkpoint {  // [checkpoint]
    int64_t every_steps = 0;
    double every_seconds = 600;
    int64_t keep = 2;
    std::string dtype = "bf16";  // of model.safetensors; the training state is always F32
  } checkpoint;

  // [stability] What is done about a step that goes wrong (train/stability.h).
  struct Stability {
    std::string on_spike = "none", on_not_finite = "stop";
    int64_t window = 64;
    double loss_spike = 8.0, gradient_spike = 12.0;
    int64_t max_in_a_row = 3;
    int64_t older_router_steps = 0, older_router_span = 0;
  } stability;

  // [parallel] Over how many ranks the run spreads, and how (train/parallel_settings.h).
  struct Parallel {
    int64_t pipeline = 1, data = 0, expert = 1;
    std::string schedule = "1f1b";
    int64_t stages_per_rank = 2;
    std::vector<double> layers_of_stages;  // whole numbers; empty: even
    bool overlap = true;
    std::string dispatch = "compute", combine = "f32", route = "auto";
    double wait_seconds = 600;
    std::string trace;  // file
    int64_t trace_first = 3, trace_steps = 4;
    double link_latency_ms = 0, link_mb_per_second = 0;
  } parallel;

  struct Log {  // [log]
    int64_t load_every_steps = 10;
    int64_t layers_every_steps = 0;
    bool tensorboard = true;
    bool retiling = false;  // counts FP8 values that a weight gradient's tiles change
  } log;

  // [[phase]] What comes after the settings above, which are the first phase (train/phases.h).
  struct Phase {
    std::string name;
    SettingsLayer settings;  // what it changes
  };
  std::vector<Phase> phases;

  std::map<std::string, std::string> origins;  // of settings that are not at their default

  void validate() const;  // ConfigError, for every phase
};

std::vector<Setting> settings_table(TrainConfig& config);

// Precedence: --set, environment, --config, ./hadal.toml, $XDG_CONFIG_HOME/hadal/config.toml.
// `path` may be empty.
TrainConfig read_train_config(const std::string& path, const std::vector<std::string>& assignments);

// What a run left in its run.toml, nothing beside it.
TrainConfig read_recorded_config(const std::string& path);
// What resolved_toml wrote.
TrainConfig parse_recorded_config(const std::string& toml);

// The shape that [model] describes, its vocabulary fitted to the tokenizer's size unless given.
ModelConfig model_shape(const TrainConfig& config, int64_t tokenizer_vocab_size);

// The preset or config.json alone.
ModelConfig named_shape(const TrainConfig::Model& model);
// `base` with keys of config.json laid over it.
ModelConfig override_shape(const ModelConfig& base, const Json& overrides);
// ConfigError unless the vocabulary holds the tokenizer's ids and the context a training sequence.
void check_room(const TrainConfig& config, const ModelConfig& shape, int64_t tokenizer_vocab_size);

// How run.toml spells paths; "" stays "".
std::string absolute_path(const std::string& path);
// The same for a model's path; of ORG/NAME, where the Hugging Face cache has it.
std::string absolute_model(const std::string& path);
// All settings as TOML that read_train_config reads back to the same run.
std::string resolved_toml(const TrainConfig& config);

// The schedules of a run of `planned_tokens`.
LearningRateSchedule learning_rate_schedule(const TrainConfig& config, int64_t planned_tokens);
// What [precision] asks for.
ModelPrecision model_precision(const TrainConfig::Precision& settings);
// What train.recompute asks for: nothing, or what the report forms again. `auto`: nothing where all
// products are F32, which costs memory and no bit; else as the report, whose accounts of memory are for
// rounded activations.
RecomputePolicy recompute_policy(const std::string& recompute, const ModelPrecision& precision);
BatchRamp batch_ramp(const TrainConfig& config);
int64_t micro_batch_sequences(const TrainConfig& config);
// Sequences of a micro-batch that keep `n_threads` busy: about 1024 tokens for up to four threads, 256
// more for each further one, up to 8192: what waits between F and B grows with it. How a batch is cut
// shows in the last bits of its gradient, so a run keeps what it was started with (run.toml).
int64_t chosen_micro_batch(int64_t seq_len, int n_threads);

}  // namespace hadal
