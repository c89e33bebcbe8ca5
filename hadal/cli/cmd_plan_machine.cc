// cli/cmd_plan_machine.cc: `hadal plan machine`
#include "hadal/cli/commands.h"
#include "hadal/command/quantity.h"
#include "hadal/core/error.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/measure/doctor.h"
#include "hadal/measure/measure_train.h"
#include "hadal/model/checkpoint.h"
#include "hadal/plan/machine.h"
#include "hadal/plan/plan.h"
#include "hadal/plan_text/explain_text.h"
#include "hadal/plan_text/machine_advice.h"

namespace hadal::cli {
namespace {

struct MachineOptions {
  std::string model = "nano", tokens = "20e6", bench;
  MachineRun run;
  std::vector<std::string> sets, explain;
};

void bind(Flags& flags, MachineOptions& o) {
  flags.library_names({{"cells", "--cells"}});  // of hadal plan
  flags.example("hadal plan machine --model nano --tokens 20e6",
                "will it train here: measures two seconds of training, then computes");
  flags.example("hadal plan machine --model small --tokens 2B --bench laptop.json",
                "the same for the machine on which `hadal bench train --json` wrote laptop.json");
  flags.option("model,-m", o.model, "preset, Hugging Face folder or config.json");
  flags.option("tokens", o.tokens, "tokens to train on, as 20e6 or 20M");
  flags.option("bench", o.bench, "output of `hadal bench train --json` (default: measure now)");
  flags.option("seq", o.run.sequence_length, "tokens per sequence");
  flags.option("batch", o.run.batch_sequences, "sequences per step");
  flags.option("micro-batch", o.run.micro_batch_sequences,
               "sequences per pass; 0: as training chooses, by the threads");
  flags.option("set", o.sets, "NAME=VALUE: another value for any number, as machine_memory=8e9");
  flags.option("explain", o.explain, "derive this number in place of the tables; repeatable");
}

void check(const MachineRun& run, const ModelConfig& config) {
  require(run.tokens >= 1 && run.tokens <= 1e18, {.field = "--tokens",
                                                  .problem = "out of range",
                                                  .found = run.tokens,
                                                  .expected = "1 to 1e18"});
  require(run.sequence_length >= 2 && run.sequence_length <= config.max_position_embeddings,
          {.field = "--seq",
           .problem = "out of range",
           .found = run.sequence_length,
           .expected = {"2 to ", config.max_position_embeddings}});
  require(run.batch_sequences >= 1 && run.batch_sequences <= (1 << 20),
          {.field = "--batch",
           .problem = "out of range",
           .found = run.batch_sequences,
           .expected = "1 to 1048576"});
  require(run.micro_batch_sequences >= 0 && run.micro_batch_sequences <= run.batch_sequences,
          {.field = "--micro-batch",
           .problem = "out of range",
           .found = run.micro_batch_sequences,
           .expected = {"0 to ", run.batch_sequences},
           .advice = "it is a part of the batch"});
}

// The shape that `hadal bench train` trains by itself, at its own batch, for a few steps.
Json measure_now(const CommonOptions& common) {
  ProgressLine progress;
  progress.show("plan machine: measuring training on this machine");
  ThreadPool pool(common.threads);
  Arena arena;
  Context ctx{.pool = pool, .arena = arena};
  MeasureTrainOptions options;
  options.model = training_peer_shape();
  options.steps = 5;
  return report_json(measure_train(ctx, options));
}

ModelConfig bench_shape(const std::string& preset) {
  return preset.empty() ? training_peer_shape() : find_preset(preset).config;
}

MachineFigures machine_figures(const MachineOptions& o, const CommonOptions& common) {
  const double memory = available_memory_bytes();
  return o.bench.empty()
             ? read_machine_figures(measure_now(common), "measured just now", memory, bench_shape)
             : read_machine_figures(parse_json_file(o.bench), o.bench, memory, bench_shape);
}

std::string table(const Worksheet& sheet, const MachineOptions& o, const MachineAdvice& advice) {
  std::string text =
      concat(o.model, ": ", human_count(sheet.value("parameters_trained")), " parameters, ",
             human_quantity(sheet.value("flops_done_per_token"), "FLOP/token"), "\n");
  text += concat("memory     ", advice.memory, "\n");
  text += concat("time       ", advice.time, "\n");
  text +=
      concat("machine    ", "training at ", human_quantity(sheet.value("training_flops"), "FLOP/s"),
             ", ", human_quantity(sheet.value("training_share_of_peak"), "fraction"),
             " of its peak, on ", plain_number(sheet.value("threads")),
             sheet.value("threads") == 1 ? " thread; " : " threads; ",
             sheet.cell("bench_tokens_per_s").note, "\n");
  for (const std::string& knob : advice.knobs) text += concat("would help ", knob, "\n");
  for (const char* section : {"memory", "time"}) {
    text += '\n';
    for (const Worksheet::Cell& cell : sheet.cells()) {
      if (cell.section != section) continue;
      std::string value = human_quantity(sheet.value(cell.name), cell.unit);
      value.insert(0, value.size() < 22 ? 22 - value.size() : 0, ' ');
      text += concat(cell.name, std::string(cell.name.size() < 22 ? 22 - cell.name.size() : 1, ' '),
                     value, "  ", cell.note, "\n");
    }
  }
  return text;
}

Json document_of(const Worksheet& sheet, const MachineOptions& o, const MachineAdvice& advice) {
  Json document;
  document["model"] = o.model;
  document["fits"] = advice.fits;
  document["seconds"] = sheet.value("run_seconds");
  document["tokens_per_s"] = sheet.value("tokens_per_s");
  document["memory_bytes"] = sheet.value("run_memory");
  document["usable_memory_bytes"] = sheet.value("usable_memory");
  document["memory"] = advice.memory;
  document["time"] = advice.time;
  document["knobs"] = Json::array_of(advice.knobs);
  Json cells = Json::object();
  for (const Worksheet::Cell& cell : sheet.cells()) cells[cell.name] = sheet.value(cell.name);
  document["cells"] = std::move(cells);
  for (const std::string& name : o.explain) document["explain"][name] = sheet.explain_json(name);
  return document;
}

int run(const MachineOptions& given, const CommonOptions& common, Output& out) {
  MachineOptions o = given;
  const ModelConfig config = load_config(o.model);
  o.run.tokens = parse_quantity("--tokens", o.tokens);
  check(o.run, config);
  Worksheet sheet = make_machine_sheet(config, machine_figures(o, common), o.run);
  for (const std::string& text : o.sets) {
    const auto [name, value] = parse_assignment("--set", text);
    try {
      sheet.set(name, value);
    } catch (const ConfigError& error) {
      throw ConfigError(error.in("--set"));
    }
  }
  const MachineAdvice advice = machine_advice(sheet);
  if (out.json()) {
    out.report(document_of(sheet, o, advice));
    return 0;
  }
  std::string explained;
  for (const std::string& name : o.explain) explained += explain_text(sheet, name);
  out.text(o.explain.empty() ? table(sheet, o, advice) : explained);
  return 0;
}

}  // namespace

Command make_plan_machine_command() {
  return define_command<MachineOptions>(
      "plan machine", "say if a model trains on this computer, how long and in what memory", bind,
      run);
}

}  // namespace hadal::cli
