// cli/cmd_replay.cc: `hadal replay`
#include <algorithm>
#include <cmath>

#include "hadal/cli/commands.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/kernels/cpu/simd_limit.h"
#include "hadal/ops/compute_device.h"
#include "hadal/reproduce/replay.h"
#include "hadal/train/run_history.h"

namespace hadal::cli {
namespace {

constexpr size_t kRows = 12;

void bind(Flags& flags, ReplayRequest& o) {
  flags.library_names({{"step", "--step"}});
  flags.example("hadal replay runs/first", "which tensor made the run stop, or spike worst?");
  flags.example("hadal replay runs/first --step 1200", "the same of step 1200");
  flags.positional("RUN", o.run, "folder that hadal train wrote; it is only read");
  flags.option("step", o.step,
               "the step (default: the last of stability.jsonl, or the worst spike of loss and "
               "gradient norm)");
  flags.option(
      "departs", o.departs_at,
      "relative error from which a tensor has departed from FP32's, if it is four times the "
      "median too");
}

std::string number(const Json& value) {
  return std::isfinite(value.as_number()) ? printed("%.6g", value.as_number()) : "not finite";
}

std::string padded(const std::string& text, size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

// Those with values that are not finite, then the farthest from FP32's.
std::vector<Json> worst_tensors(const Json& report) {
  std::vector<Json> tensors = report.at("tensors").as_array();
  std::stable_sort(tensors.begin(), tensors.end(), [](const Json& a, const Json& b) {
    const bool bad_a = a.at("not_finite") != Json(0), bad_b = b.at("not_finite") != Json(0);
    if (bad_a != bad_b) return bad_a;
    return !bad_a && a.at("error").as_number() > b.at("error").as_number();
  });
  tensors.resize(std::min(tensors.size(), kRows));
  return tensors;
}

std::string table(const Json& report) {
  const std::vector<Json> tensors = worst_tensors(report);
  size_t width = 6;
  for (const Json& t : tensors) width = std::max(width, t.at("name").as_string().size());
  const auto row = [&](const std::string& name, const std::string& a, const std::string& b,
                       const std::string& c, const std::string& d) {
    return concat(name, std::string(width - name.size(), ' '), padded(a, 12), padded(b, 12),
                  padded(c, 12), padded(d, 10), "\n");
  };
  std::string text = row("tensor", "largest", "in FP32", "not finite", "error");
  for (const Json& t : tensors) {
    text += row(t.at("name").as_string(), printed("%.4g", t.at("largest").as_number()),
                printed("%.4g", t.at("largest_fp32").as_number()), t.at("not_finite").dump(),
                percent(t.at("error").as_number()));
  }
  return text;
}

std::string replay_text(const ReplayRequest& o, const Json& report) {
  const Json& repeated = report.at("repeated");
  const int64_t step = report.at("step").as_integer(), from = report.at("from_step").as_integer();
  std::string text = concat(
      "step ", step, " of ", o.run, " (", report.at("why").as_string(), "), ",
      from == 0 ? "trained from the beginning" : concat("from the checkpoint of step ", from));
  text += repeated.is_null()   ? "\n"
          : repeated.as_bool() ? ": as recorded, bit for bit\n"
                               : ": NOT as recorded; another build or instruction set?\n";
  for (const char* name : {"loss", "grad_norm"}) {
    text += concat(name, "  ", number(report.at(name).at("own")), " in ",
                   report.at("precision").as_string(), ", ", number(report.at(name).at("fp32")),
                   " in FP32\n");
  }
  return text + report.at("verdict").as_string() + "\n\n" + table(report);
}

int run(const ReplayRequest& o, const CommonOptions& common, Output& out) {
  const Json made_by = read_run_history(o.run);
  if (!made_by.as_array().empty()) {
    const std::string& set = made_by.as_array().back().at("instruction_set").as_string();
    if (!cpu::limit_to_recorded_simd(set) && set != instruction_set()) {
      log_note("the run was made with ", set,
               ", which this processor does not have: computing with ", instruction_set(),
               ", whose sums end in other bits");
    }
  }
  catch_interrupts();
  ThreadPool pool(common.threads);
  const ComputeDevice device(common.chosen_device());
  Arena arena(device.memory());
  Context ctx = device.context(pool, arena);
  const Json report = replay_step(ctx, o);
  if (out.json()) {
    out.report(report);
  } else {
    out.text(replay_text(o, report));
  }
  return 0;
}

}  // namespace

Command make_replay_command() {
  return define_command<ReplayRequest>(
      "replay", "compute a run's bad step again in FP32, and say which tensor went wrong", bind,
      run);
}

}  // namespace hadal::cli
