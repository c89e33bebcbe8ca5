#include "hadal/train/config.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/nearest.h"
#include "hadal/io/model_files.h"
#include "hadal/io/path_status.h"
#include "hadal/model/checkpoint_reader.h"
#include "hadal/train/parallel_settings.h"
#include "hadal/train/phases.h"
#include "hadal/train/stability_settings.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

constexpr double kManyTokens = 1e15;

std::string user_config_path() {
  const char* xdg = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  const std::string base = xdg && *xdg ? xdg : concat(home ? home : "", "/.config");
  return base + "/hadal/config.toml";
}

// config.json has nulls, TOML has none: 0 and "none" stand for them where null is a choice.
Json or_null(const std::string& key, const Json& value) {
  const bool zero_is_none = key == "q_lora_rank" || key == "n_shared_experts";
  if (zero_is_none && value == Json(0)) return Json();
  if (key == "rope_scaling" && value == Json("none")) return Json();
  return value;
}

}  // namespace

std::string absolute_path(const std::string& path) {
  return path.empty() ? path : fs::absolute(path).lexically_normal().string();
}

std::string absolute_model(const std::string& path) {
  return absolute_path(path_exists(path) ? path : model_folder(path));
}

void check_room(const TrainConfig& config, const ModelConfig& shape, int64_t tokenizer_vocab_size) {
  require(shape.vocab_size >= tokenizer_vocab_size,
          {.field = "model.vocab_size",
           .problem = "smaller than the tokenizer",
           .found = shape.vocab_size,
           .expected = {"at least ", tokenizer_vocab_size},
           .advice = "leave it out to fit it to the tokenizer"});
  require(config.train.seq_len <= shape.max_position_embeddings,
          {.field = "train.seq_len",
           .problem = "longer than the model's context",
           .found = config.train.seq_len,
           .expected = {"at most ", shape.max_position_embeddings},
           .advice = "raise model.max_position_embeddings"});
}

std::vector<Setting> settings_table(TrainConfig& c) {
  const double inf = std::numeric_limits<double>::infinity();
  std::vector<Setting> table = {
      {"model.preset", &c.model.preset, "a built-in shape; `hadal presets` lists them"},
      {"model.config", &c.model.config, "a Hugging Face config.json in place of a preset"},
      {"model.init", &c.model.init,
       "folder of a model to go on from: its shape, its weights and its tokenizer"},
      {"model.init_std", &c.model.init_std, "standard deviation of the initial matrices", 0, 10},

      {"data.paths", &c.data.paths, "files, folders and patterns to train on"},
      {"data.shares", &c.data.shares,
       "shares of the tokens, one for each of paths, such as [87, 10, 3]; empty: all there is",
       1e-9, 1e9},
      {"data.repositories", &c.data.corpus.source.repositories,
       "each folder is a repository: files that use each other are one document, in that order"},
      {"data.text_field", &c.data.corpus.source.text_field, "the text's name in JSON lines"},
      {"data.encoding", &c.data.corpus.source.encoding,
       "of the files, as iconv names it (latin-1, cp1252); empty: UTF-8"},
      {"data.max_document_bytes", &c.data.corpus.source.max_document_bytes,
       "a longer document is an error", 1, 1e12},
      {"data.dedup", &c.data.corpus.dedup, "drop exact duplicates"},
      {"data.validation_fraction", &c.data.corpus.validation_fraction,
       "share of the documents that is held out", 0, 0.9},
      {"data.max_validation_bytes", &c.data.corpus.max_validation_bytes,
       "held-out text beyond this is not scored", 1, 1e12},
      {"data.fim_rate", &c.data.fim_rate, "share of the documents in fill-in-the-middle order", 0,
       1},
      {"data.boundary_split_rate", &c.data.boundary_split_rate,
       "share of tokens joining punctuation and line break that is split", 0, 1},
      {"data.tokenizer", &c.data.tokenizer, "tokenizer.json or its folder; empty: train one"},
      {"data.vocab_size", &c.data.vocab_size,
       "size of the tokenizer to train; default: the model's vocabulary", 260, 1 << 24},
      {"data.cache_dir", &c.data.cache_dir, "where prepared data is kept"},

      {"train.seq_len", &c.train.seq_len, "tokens per sequence", 2, 1 << 20},
      {"train.batch_sequences", &c.train.batch_sequences, "sequences per step", 1, 1e9},
      {"train.batch_ramp_start_sequences", &c.train.batch_ramp_start_sequences,
       "sequences of the first step; 0: no ramp", 0, 1e9},
      {"train.batch_ramp_tokens", &c.train.batch_ramp_tokens,
       "tokens until the batch has its full size", 0, kManyTokens},
      {"train.micro_batch_sequences", &c.train.micro_batch_sequences,
       "sequences computed at once; 0: about 1024 tokens, more on more than four threads", 0, 1e9},
      {.name = "train.recompute",
       .target = &c.train.recompute,
       .help = "what backward forms again in place of keeping it: norms' outputs, attention's up-"
               "projections and SwiGLU's outputs, or none; auto: none in fp32",
       .choices = {"auto", "selective", "none"}},
      {"train.steps", &c.train.steps, "stop after so many steps; 0: no such limit", 0, 1e12},
      {"train.tokens", &c.train.tokens, "stop after so many tokens; 0: no such limit", 0,
       kManyTokens},
      {"train.max_seconds", &c.train.max_seconds,
       "plan the run to take about so long; 0: no such limit", 0, 1e10},
      {"train.seed", &c.train.seed, "of the initial weights and of the data's order", 0, 9e15},
      {"train.out", &c.train.out, "the run's folder"},

      {"optimizer.learning_rate", &c.optimizer.learning_rate, "the highest rate", 0, inf},
      {"optimizer.end_share", &c.optimizer.end_share, "rate after the decay, share of the highest",
       0, 1},
      {"optimizer.tail_share", &c.optimizer.tail_share, "last rate, share of the highest", 0, 1},
      {"optimizer.warmup_steps", &c.optimizer.warmup_steps, "steps of linear warm-up", 0, 1e12},
      {"optimizer.warmup_tokens", &c.optimizer.warmup_tokens,
       "tokens of linear warm-up, when warmup_steps is 0", 0, kManyTokens},
      {"optimizer.constant_until_tokens", &c.optimizer.constant_until_tokens,
       "where the cosine begins; 0: 67.6 % of the run", 0, kManyTokens},
      {"optimizer.decay_until_tokens", &c.optimizer.decay_until_tokens,
       "where the cosine ends; 0: 96.6 % of the run", 0, kManyTokens},
      {"optimizer.tail_until_tokens", &c.optimizer.tail_until_tokens,
       "where the last rate begins; 0: 98.9 % of the run", 0, kManyTokens},
      {"optimizer.beta1", &c.optimizer.beta1, "decay of the first moment", 0, 0.999999},
      {"optimizer.beta2", &c.optimizer.beta2, "decay of the second moment", 0, 0.999999},
      {"optimizer.eps", &c.optimizer.eps, "added to the root of the second moment", 0, 1},
      {"optimizer.weight_decay", &c.optimizer.weight_decay, "of matrices, not of norms", 0, 100},
      {"optimizer.clip_norm", &c.optimizer.clip_norm, "largest global gradient norm; 0: any", 0,
       inf},
      {.name = "optimizer.moment_dtype",
       .target = &c.optimizer.moment_dtype,
       .help = "how the moments are stored",
       .choices = {"f32", "bf16"}},
      {"optimizer.ema_decay", &c.optimizer.ema_decay, "average of the weights; 0: none", 0,
       0.9999999},

      {"loss.mtp_weight", &c.loss.mtp_weight, "lambda of the MTP loss", 0, 100},
      {"loss.mtp_weight_late", &c.loss.mtp_weight_late, "lambda from mtp_late_from_tokens on", 0,
       100},
      {"loss.mtp_late_from_tokens", &c.loss.mtp_late_from_tokens, "0: never", 0, kManyTokens},
      {"loss.balance_alpha", &c.loss.balance_alpha, "weight of the sequence balance loss", 0, 100},
      {"loss.bias_gamma", &c.loss.bias_gamma, "speed of the router biases", 0, 10},
      {"loss.bias_gamma_late", &c.loss.bias_gamma_late, "speed from bias_late_from_tokens on", 0,
       10},
      {"loss.bias_late_from_tokens", &c.loss.bias_late_from_tokens, "0: never", 0, kManyTokens},

      {.name = "precision.compute",
       .target = &c.precision.compute,
       .help = "of the products of linears; masters and sums are F32 always",
       .choices = {"fp32", "bf16", "fp8"}},
      {.name = "precision.attention",
       .target = &c.precision.attention,
       .help = "of attention's projections; compute: as precision.compute",
       .choices = {"compute", "fp32", "bf16", "fp8"}},
      {.name = "precision.dense",
       .target = &c.precision.dense,
       .help = "of dense layers' networks; compute: as precision.compute",
       .choices = {"compute", "fp32", "bf16", "fp8"}},
      {.name = "precision.shared",
       .target = &c.precision.shared,
       .help = "of shared experts; compute: as precision.compute",
       .choices = {"compute", "fp32", "bf16", "fp8"}},
      {.name = "precision.experts",
       .target = &c.precision.experts,
       .help = "of routed experts; compute: as precision.compute",
       .choices = {"compute", "fp32", "bf16", "fp8"}},
      {.name = "precision.scales",
       .target = &c.precision.scales,
       .help = "of FP8 tiles and blocks",
       .choices = {"power-of-two", "f32"}},
      {.name = "precision.weight_gradient",
       .target = &c.precision.weight_gradient,
       .help = "FP8 operands of weight gradients: cut again from the codes that wait, or quantised "
               "by columns beside them",
       .choices = {"retiled", "columns"}},
      {.name = "precision.norms",
       .target = &c.precision.norms,
       .help = "what of norms waits for backward in FP8: inputs in BF16, or outputs as the codes "
               "that linears multiply, half the bytes",
       .choices = {"inputs", "outputs"}},

      {"eval.every_steps", &c.eval.every_steps, "steps between evaluations; 0: at the end only", 0,
       1e12},
      {"eval.sequences", &c.eval.sequences, "held-out sequences that are scored", 1, 1e9},

      {"checkpoint.every_steps", &c.checkpoint.every_steps, "steps between checkpoints; 0: none", 0,
       1e12},
      {"checkpoint.every_seconds", &c.checkpoint.every_seconds,
       "seconds between checkpoints; 0: none", 0, 1e10},
      {"checkpoint.keep", &c.checkpoint.keep, "how many of the last ones stay", 1, 1e6},
      {.name = "checkpoint.dtype",
       .target = &c.checkpoint.dtype,
       .help = "of model.safetensors; the training state is F32 always",
       .choices = {"bf16", "f32", "fp8"}},

      {"log.load_every_steps", &c.log.load_every_steps, "steps per record of the experts' load", 1,
       1e12},
      {"log.layers_every_steps", &c.log.layers_every_steps,
       "steps per record of every layer's output and gradients; 0: none", 0, 1e12},
      {"log.tensorboard", &c.log.tensorboard, "write TensorBoard event files"},
      {"log.retiling", &c.log.retiling,
       "count the FP8 values that change when codes are cut again for weight gradients"},
  };
  add_stability_settings(table, c.stability);
  add_parallel_settings(table, c.parallel);
  return table;
}

void TrainConfig::validate() const {
  require(!data.paths.empty(), {.field = "data.paths",
                                .problem = "nothing to train on",
                                .found = "none",
                                .expected = "files, folders or patterns",
                                .advice = "for example {set} data.paths='[\"texts\"]'"});
  require(!train.out.empty(), {.field = "out",
                               .problem = "the run needs a folder",
                               .found = "none",
                               .advice = "give {out} DIR or train.out"});
  require(train.steps > 0 || train.tokens > 0 || train.max_seconds > 0,
          {.field = "train.steps",
           .problem = "the run has no end",
           .found = "0 for steps, tokens and max_seconds",
           .advice = "set one"});
  require(train.batch_ramp_start_sequences <= train.batch_sequences,
          {.field = "train.batch_ramp_start_sequences",
           .problem = "above the full batch",
           .found = train.batch_ramp_start_sequences,
           .expected = {"at most ", train.batch_sequences},
           .advice = "the ramp only grows"});
  require(train.batch_ramp_start_sequences == 0 || train.batch_ramp_tokens > 0,
          {.field = "train.batch_ramp_tokens",
           .problem = "a ramp needs its length",
           .found = "0",
           .advice = "set it, or batch_ramp_start_sequences to 0"});
  require(precision.norms == "inputs" || precision.weight_gradient == "retiled",
          {.field = "precision.norms",
           .problem = "columns are quantised from rows that were not rounded",
           .found = "outputs beside weight_gradient = columns",
           .advice = "set norms to inputs, or weight_gradient to retiled"});
  const Optimizer& o = optimizer;
  const auto ordered = [](int64_t a, int64_t b) { return a == 0 || b == 0 || a <= b; };
  require(
      ordered(o.constant_until_tokens, o.decay_until_tokens) &&
          ordered(o.decay_until_tokens, o.tail_until_tokens) &&
          ordered(o.constant_until_tokens, o.tail_until_tokens),
      {.field = "optimizer.decay_until_tokens",
       .problem = "boundaries run backwards",
       .found = {o.constant_until_tokens, ", ", o.decay_until_tokens, ", ", o.tail_until_tokens},
       .expected = "constant <= decay <= tail"});
  if (!model.init.empty()) {
    const Json::Object& overrides = model.overrides.as_object();
    require(overrides.empty(),
            {.field = {"model.", overrides.empty() ? "" : overrides.begin()->first},
             .problem = "the shape is that of model.init",
             .found = model.init,
             .advice = "leave it out, or begin anew from model.config"});
    require(!data.tokenizer.empty() || !origins.contains("data.vocab_size"),
            {.field = "data.vocab_size",
             .problem = "model.init has its tokenizer",
             .found = model.init,
             .advice = "leave it out: another tokenizer's ids mean nothing to these weights"});
  }
  data.validate();
  validate_stability(*this);
  validate_parallel(*this);
  validate_phases(*this);
}

namespace {

TrainConfig config_of_layers(std::vector<SettingsLayer> layers) {
  TrainConfig config;
  const std::vector<Setting> table = settings_table(config);
  config.phases = take_phases(layers);
  config.model.overrides = apply_settings(layers, table, "model", config.origins);
  return config;
}

}  // namespace

TrainConfig read_train_config(const std::string& path,
                              const std::vector<std::string>& assignments) {
  TrainConfig names;
  std::vector<SettingsLayer> layers;
  layers.push_back(file_layer(user_config_path(), true));
  layers.push_back(file_layer("hadal.toml", true));
  if (!path.empty()) layers.push_back(file_layer(path));
  layers.push_back(environment_layer(settings_table(names)));
  layers.push_back(assignments_layer(assignments));
  return config_of_layers(std::move(layers));
}

TrainConfig read_recorded_config(const std::string& path) {
  return config_of_layers({file_layer(path)});
}

TrainConfig parse_recorded_config(const std::string& toml) {
  TomlDocument document = parse_toml(toml, "run.toml");
  return config_of_layers({{"run.toml", std::move(document.root), std::move(document.line_of)}});
}

ModelConfig named_shape(const TrainConfig::Model& model) {
  const int n = int{!model.preset.empty()} + int{!model.config.empty()} + int{!model.init.empty()};
  require(n == 1,
          {.field = "model.preset",
           .problem = "exactly one of model.preset, model.config and model.init gives the shape",
           .found = n == 0 ? "none" : "more than one",
           .advice = "`hadal presets` lists the presets"});
  if (!model.init.empty()) return open_checkpoint(model.init, /*with_mtp=*/true).config;
  return model.config.empty() ? find_preset(model.preset).config : load_config(model.config);
}

ModelConfig override_shape(const ModelConfig& base, const Json& overrides) {
  Json json = config_to_hf(base);
  if (!json.find("swiglu_limit")) json["swiglu_limit"] = 0.0;  // absent where there is none
  std::vector<std::string> known;
  for (const auto& [key, value] : json.as_object()) known.push_back("model." + key);
  for (const auto& [key, value] : overrides.as_object()) {
    require(json.find(key) != nullptr, {.field = {"model.", one_line(key, 100)},
                                        .problem = "unknown setting",
                                        .expected = "a key of config.json",
                                        .advice = did_you_mean("model." + key, known)});
    json[key] = or_null(key, value);
    if (key == "num_attention_heads") json["num_key_value_heads"] = value;
  }
  return config_from_hf(json, "[model]");
}

ModelConfig model_shape(const TrainConfig& config, int64_t tokenizer_vocab_size) {
  const ModelConfig base = named_shape(config.model);
  Json overrides = config.model.overrides;
  if (tokenizer_vocab_size > 0 && config.model.init.empty() && !overrides.find("vocab_size")) {
    // A multiple of 64 keeps the rows of logits aligned.
    const int64_t fitted = (tokenizer_vocab_size + 63) / 64 * 64;
    if (base.vocab_size < tokenizer_vocab_size || base.vocab_size > fitted) {
      overrides["vocab_size"] = fitted;
    }
  }
  ModelConfig shape = override_shape(base, overrides);
  check_room(config, shape, tokenizer_vocab_size);
  return shape;
}

std::string resolved_toml(const TrainConfig& config) {
  TrainConfig copy = config;
  copy.model.config = absolute_model(copy.model.config);
  copy.model.init = absolute_model(copy.model.init);
  copy.data.tokenizer = absolute_model(copy.data.tokenizer);
  copy.data.cache_dir = absolute_path(copy.data.cache_dir);
  copy.train.out = absolute_path(copy.train.out);
  for (std::string& path : copy.data.paths) path = absolute_path(path);
  Json root = Json::object();
  for (const Setting& setting : settings_table(copy)) {
    const size_t dot = setting.name.find('.');
    root[setting.name.substr(0, dot)][setting.name.substr(dot + 1)] = setting_value(setting);
  }
  for (const auto& [key, value] : copy.model.overrides.as_object()) root["model"][key] = value;
  if (!copy.phases.empty()) root["phase"] = phases_json(copy);
  return write_toml(root);
}

LearningRateSchedule learning_rate_schedule(const TrainConfig& config, int64_t planned_tokens) {
  const TrainConfig::Optimizer& o = config.optimizer;
  const auto boundary = [&](int64_t given, double v3_tokens) {
    constexpr double kV3Tokens = 14.8e12;
    if (given > 0) return given;
    return static_cast<int64_t>(static_cast<double>(planned_tokens) * (v3_tokens / kV3Tokens));
  };
  LearningRateSchedule schedule;
  schedule.peak = o.learning_rate;
  schedule.end = o.learning_rate * o.end_share;
  schedule.tail = o.learning_rate * o.tail_share;
  schedule.warmup_steps = o.warmup_steps;
  schedule.warmup_tokens = o.warmup_tokens;
  schedule.constant_until_tokens = boundary(o.constant_until_tokens, 10e12);
  schedule.decay_until_tokens =
      std::max(schedule.constant_until_tokens, boundary(o.decay_until_tokens, 14.3e12));
  schedule.tail_until_tokens =
      std::max(schedule.decay_until_tokens, boundary(o.tail_until_tokens, 14.633e12));
  return schedule;
}

ModelPrecision model_precision(const TrainConfig::Precision& settings) {
  const auto of_class = [&](const std::string& own) -> LinearPrecision {
    const std::string& name = own == "compute" ? settings.compute : own;
    if (name == "bf16") return Precision::kBf16;
    if (name != "fp8") return Precision::kF32;
    return {settings.scales == "f32" ? Precision::kFp8F32Scales : Precision::kFp8,
            settings.weight_gradient == "columns" ? WeightGradientTiles::kColumns
                                                  : WeightGradientTiles::kRetiled,
            settings.norms == "outputs" ? KeptNorms::kOutputs : KeptNorms::kInputs};
  };
  return {of_class(settings.attention), of_class(settings.dense), of_class(settings.shared),
          of_class(settings.experts)};
}

RecomputePolicy recompute_policy(const std::string& recompute, const ModelPrecision& precision) {
  const auto is_f32 = [](const LinearPrecision& of_class) {
    return of_class.products == Precision::kF32;
  };
  const bool all_f32 = is_f32(precision.attention) && is_f32(precision.dense) &&
                       is_f32(precision.shared) && is_f32(precision.experts);
  if (recompute == "none" || (recompute == "auto" && all_f32)) return {false, false, false};
  return {};
}

BatchRamp batch_ramp(const TrainConfig& config) {
  BatchRamp ramp;
  ramp.start = config.train.batch_ramp_start_sequences;
  ramp.end = config.train.batch_sequences;
  ramp.ramp_tokens = config.train.batch_ramp_tokens;
  const TrainConfig::Parallel& parallel = config.parallel;
  const int64_t pair = parallel.pipeline > 1 && parallel.schedule == "dualpipe" ? 2 : 1;
  ramp.quantum =
      std::min(micro_batch_sequences(config) * std::max<int64_t>(parallel.data, 1) * pair,
               std::max<int64_t>(ramp.start, 1));
  return ramp;
}

int64_t micro_batch_sequences(const TrainConfig& config) {
  const int64_t wanted = config.train.micro_batch_sequences > 0
                             ? config.train.micro_batch_sequences
                             : chosen_micro_batch(config.train.seq_len, 1);
  return std::min(wanted, config.train.batch_sequences);
}

int64_t chosen_micro_batch(int64_t seq_len, int n_threads) {
  const int64_t tokens = std::clamp<int64_t>(int64_t{256} * n_threads, 1024, 8192);
  return std::max<int64_t>(1, tokens / seq_len);
}

}  // namespace hadal
