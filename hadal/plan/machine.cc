#include "hadal/plan/machine.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/plan/machine_cells.h"
#include "hadal/plan/training_sections.h"

namespace hadal {
namespace {

// Operations that the CPU trainer does per token: the count for a GPU (training's convention, MTP, MLA's
// up-projections again with recompute), and the scores once more, which attention_backward forms
// again (ops/attention.h).
void add_work(Worksheet& sheet, const ModelConfig& config, double sequence_length, bool recompute) {
  add_model(sheet, config);
  sheet.section("work", "Work per token");
  sheet.input("sequence_length", sequence_length, "tokens", Origin::kGiven, "tokens of a sequence");
  sheet.input("recompute", recompute ? 1 : 0, "", Origin::kModel,
              "1 with train.recompute = \"selective\": less is kept and more formed again");
  sheet.input("uses_fp8", 0, "", Origin::kModel, "F32 throughout");
  add_flops(sheet);
  sheet.formula("flops_scores_again_per_token",
                "(n_layers + n_mtp) * n_heads * d_qk * sequence_length", "FLOP/token",
                "attention's scores are formed again in the backward pass");
  sheet.formula("flops_done_per_token", "flops_executed_per_token + flops_scores_again_per_token",
                "FLOP/token", "what the trainer does, MTP included");
}

void add_machine(Worksheet& sheet, const MachineFigures& m) {
  Worksheet bench;  // the benchmark's own model
  add_work(bench, m.bench_config, m.bench_sequence, m.bench_recompute);
  bench.formula("parameters_trained", "parameters_total + parameters_mtp", "parameters", "");

  sheet.section("machine", "This machine, as measured");
  const auto measured = [&](const char* name, double value, const char* unit, const char* note) {
    sheet.input(name, value, unit, Origin::kMeasured, concat(note, "; ", m.source));
  };
  measured("threads", m.threads, "", "of the benchmark");
  measured("machine_peak_flops", m.peak_flops, "FLOP/s", "F32 multiply-adds, all threads");
  measured("machine_bandwidth", m.memory_bandwidth, "B/s", "reading memory");
  measured("machine_memory", m.memory, "B", "available to a program");
  measured("bench_tokens_per_s", m.bench_tokens_per_s, "tokens/s", "training steps");
  sheet.input("bench_tokens_per_step", m.bench_sequence * m.bench_batch, "tokens",
              Origin::kMeasured, m.source);
  sheet.input("bench_flops_per_token", bench.value("flops_done_per_token"), "FLOP/token",
              Origin::kModel, "the benchmark's model, counted as this plan's");
  sheet.input("bench_parameters", bench.value("parameters_trained"), "parameters", Origin::kModel,
              "the benchmark's model");
  sheet.input("optimizer_bytes_per_parameter", 36, "B", Origin::kModel,
              "AdamW reads and writes value, gradient, m and v in F32; the norm reads gradients");
  sheet.formula("bench_optimizer_seconds",
                "bench_parameters * optimizer_bytes_per_parameter / machine_bandwidth", "s",
                "of the benchmark's step");
  sheet.formula("training_flops",
                "bench_flops_per_token * bench_tokens_per_step"
                " / (bench_tokens_per_step / bench_tokens_per_s - bench_optimizer_seconds)",
                "FLOP/s", "that training reached, the optimizer apart");
  sheet.formula("training_share_of_peak", "training_flops / machine_peak_flops", "fraction",
                "hadal's share of the machine's peak in training");
}

void add_run(Worksheet& sheet, const MachineRun& run) {
  sheet.section("run", "The run");
  const auto micro = static_cast<double>(run.micro_batch_sequences);
  const auto given = [&](const char* name, double value, const char* unit, const char* note) {
    sheet.input(name, value, unit, Origin::kGiven, note);
  };
  given("tokens", run.tokens, "tokens", "to train on");
  given("batch_sequences", static_cast<double>(run.batch_sequences), "sequences", "of one step");
  if (micro > 0) {
    given("micro_batch_sequences", micro, "sequences", "of one pass");
  } else {
    sheet.formula("micro_batch_wanted", "min(max(256 * threads, 1024), 8192)", "tokens",
                  "the trainer's choice for a pass");
    sheet.formula("micro_batch_sequences", "max(1, floor(micro_batch_wanted / sequence_length))",
                  "sequences", "of one pass");
  }
  sheet.formula("micro_batch_tokens",
                "min(micro_batch_sequences, batch_sequences) * sequence_length", "tokens",
                "of one pass through the model");
  given("moment_bytes", 4, "B", "F32 moments; 2 with optimizer.moment_dtype = \"bf16\"");
  given("keeps_average", 0, "", "1 with optimizer.ema_decay above 0");
}

void add_time(Worksheet& sheet) {
  sheet.section("time", "Time of the run");
  const auto seconds = [&](const char* name, const char* expression, const char* note) {
    sheet.formula(name, expression, "s", note);
  };
  sheet.formula("tokens_per_step", "batch_sequences * sequence_length", "tokens",
                "of one optimizer step");
  sheet.formula("steps", "ceil(tokens / tokens_per_step)", "steps", "of the whole run");
  seconds("compute_seconds", "tokens_per_step * flops_done_per_token / training_flops",
          "forward and backward of one step");
  seconds("optimizer_seconds",
          "parameters_trained * (optimizer_bytes_per_parameter"
          " - 4 * (4 - moment_bytes) + 12 * keeps_average) / machine_bandwidth",
          "AdamW, the gradients' norm and the average, of one step");
  seconds("step_seconds", "compute_seconds + optimizer_seconds", "one step");
  sheet.formula("tokens_per_s", "tokens_per_step / step_seconds", "tokens/s", "training speed");
  seconds("run_seconds", "steps * step_seconds", "all steps; evaluations and checkpoints excluded");
}

constexpr const char* kWriteIt = "write it with `hadal bench train {json}`";

double number_in(const Json& json, const char* key, const std::string& source, double least) {
  const Json* value = json.find(key);
  if (value == nullptr || !value->is_number() || !(value->as_number() >= least) ||
      !(value->as_number() < 1e30)) {
    throw FormatError(Complaint{.place = source,
                                .problem = {"no usable \"", key, "\""},
                                .found = value ? in_quotes(value->dump()) : "nothing",
                                .expected = {"a number, ", least, " or more"},
                                .advice = kWriteIt});
  }
  return value->as_number();
}

}  // namespace

MachineFigures read_machine_figures(
    const Json& bench, const std::string& source, double memory,
    const std::function<ModelConfig(const std::string&)>& shape_of) {
  MachineFigures m;
  m.source = source;
  const Json* preset = bench.find("preset");
  if (preset == nullptr || !preset->is_string()) {
    throw FormatError(Complaint{.place = source,
                                .problem = "does not say what was trained",
                                .found = "no \"preset\"",
                                .advice = kWriteIt});
  }
  m.bench_config = shape_of(preset->as_string());
  const Json* recompute = bench.find("recompute");  // before there was a choice: selective
  m.bench_recompute =
      recompute == nullptr || !recompute->is_string() || recompute->as_string() != "none";
  m.bench_tokens_per_s = number_in(bench, "tok_s_best", source, 1e-9);
  m.bench_sequence = number_in(bench, "seq", source, 1);
  m.bench_batch = number_in(bench, "batch", source, 1);
  m.threads = number_in(bench, "threads", source, 1);
  m.peak_flops = number_in(bench, "roof_gflop_s", source, 1e-9) * 1e9;
  m.memory_bandwidth = number_in(bench, "memory_gb_s", source, 1e-9) * 1e9;
  m.memory = memory;
  return m;
}

Worksheet make_machine_sheet(const ModelConfig& config, const MachineFigures& machine,
                             const MachineRun& run) {
  Worksheet sheet;
  add_work(sheet, config, static_cast<double>(run.sequence_length), /*recompute=*/false);
  add_machine(sheet, machine);
  add_run(sheet, run);
  add_machine_memory(sheet);
  add_time(sheet);
  return sheet;
}

}  // namespace hadal
