#include "hadal/reproduce/training_shape.h"

#include <algorithm>
#include <limits>

#include "hadal/model/checkpoint.h"
#include "hadal/train/metrics.h"
#include "hadal/train/report_data.h"
#include "hadal/train/run_start.h"

namespace hadal {
namespace {

// What all runs have in common. Fill-in-the-middle and split tokens would only add noise.
TrainConfig common_run(const Effort& effort) {
  TrainConfig config;
  config.model.preset = "nano";
  config.model.init_std = 0.02;  // V3 used 0.006 at width 7168; narrow models start wider
  config.data.paths = effort.text;
  config.data.cache_dir = effort.cache_dir;
  config.data.fim_rate = 0.0;
  config.data.boundary_split_rate = 0.0;
  config.train.seq_len = effort.quick ? 32 : 128;
  config.train.batch_sequences = 8;
  config.train.micro_batch_sequences = 8;
  config.train.tokens = effort.quick ? 4 * 8 * config.train.seq_len : effort.tokens;
  config.optimizer.learning_rate = 3e-3;
  config.optimizer.warmup_steps = effort.quick ? 1 : 50;
  config.loss.bias_gamma = 1e-2;  // V3: 1e-3 over hundreds of thousands of steps
  config.eval.every_steps = effort.quick ? 0 : std::max<int64_t>(1, effort.tokens / 1024 / 10);
  config.eval.sequences = effort.quick ? 8 : 256;
  config.checkpoint.keep = 1;
  config.checkpoint.dtype = "f32";
  config.log.load_every_steps = effort.quick ? 1 : 5;
  config.log.tensorboard = false;
  return config;
}

std::vector<double> column(const Json& series, const std::string& name) {
  std::vector<double> values;
  if (const Json* found = series.find(name)) {
    for (const Json& value : found->as_array()) {
      values.push_back(value.is_null() ? std::numeric_limits<double>::quiet_NaN()
                                       : value.as_number());
    }
  }
  return values;
}

}  // namespace

TrainConfig half_nano(const Effort& effort) {
  TrainConfig config = common_run(effort);
  Json& shape = config.model.overrides;
  shape["hidden_size"] = 64;
  shape["num_hidden_layers"] = 3;
  shape["num_attention_heads"] = 2;
  shape["intermediate_size"] = 192;
  shape["moe_intermediate_size"] = 32;
  shape["vocab_size"] = 1024;
  shape["num_nextn_predict_layers"] = 0;
  return config;
}

TrainConfig whole_nano(const Effort& effort) {
  TrainConfig config = common_run(effort);
  config.model.overrides["num_nextn_predict_layers"] = 0;
  config.model.overrides["vocab_size"] = 1024;
  return config;
}

TrainConfig slim_nano(const Effort& effort) {
  TrainConfig config = common_run(effort);
  Json& shape = config.model.overrides;
  shape["num_hidden_layers"] = 2;
  shape["num_attention_heads"] = 2;
  shape["intermediate_size"] = 256;
  shape["n_routed_experts"] = 8;
  shape["num_experts_per_tok"] = 2;
  shape["vocab_size"] = 512;
  shape["num_nextn_predict_layers"] = 0;
  config.train.batch_sequences = config.train.micro_batch_sequences = 16;
  config.eval.every_steps /= 2;
  return config;
}

void balance_by_loss(TrainConfig& config) {
  config.loss.bias_gamma = 0.0;
  config.loss.balance_alpha = 1e-2;
}

void read_summary(const TrainConfig& run, Outcome& outcome) {
  const Json summary = parse_json_file(run.train.out + "/summary.json");
  for (const char* name : {"val_loss", "max_violation"}) {
    if (summary.at(name).is_number()) outcome.figures[name] = summary.at(name).as_number();
  }
  if (const Json* depths = summary.find("mtp_acceptance_by_depth"); depths && depths->is_array()) {
    for (size_t k = 0; k < depths->as_array().size(); ++k) {
      outcome.figures[concat("mtp_acceptance_", k + 1)] = depths->as_array()[k].as_number();
    }
  } else if (summary.at("mtp_acceptance").is_number()) {
    outcome.figures["mtp_acceptance_1"] = summary.at("mtp_acceptance").as_number();
  }
}

void read_run(const TrainConfig& run, Outcome& outcome) {
  read_summary(run, outcome);
  const Json data =
      report_data(read_metrics(run.train.out, std::numeric_limits<int64_t>::max()), 80, 1);
  for (const char* name : {"train/loss", "moe/max_violation"}) {
    outcome.curves[name] = {column(data.at("train"), "tokens"), column(data.at("train"), name)};
  }
  outcome.curves["val/loss"] = {column(data.at("val"), "tokens"),
                                column(data.at("val"), "val/loss")};
}

FinishedRun::FinishedRun(Context& ctx, const TrainConfig& run)
    : data(prepare_data(settled(run, {}, ctx.pool.n_threads()).data, ctx.pool)),
      model(load_model(ctx, run.train.out + "/latest")),
      held_out(held_out_rows(data, model.config, run.eval.sequences, run.train.seq_len)) {
  model.ensure_rope(ctx.arena, run.train.seq_len);
}

}  // namespace hadal
