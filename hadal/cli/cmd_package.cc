// cli/cmd_package.cc: `hadal package`, `hadal repeat`
#include "hadal/cli/commands.h"
#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/kernels/cpu/simd_limit.h"
#include "hadal/ops/compute_device.h"
#include "hadal/reproduce/package.h"
#include "hadal/reproduce/repeat.h"

namespace hadal::cli {
namespace {

struct PackageCommand {
  std::string run, out;
  PackageOptions options;
};

void bind_package(Flags& flags, PackageCommand& o) {
  flags.example("hadal package runs/first first.package",
                "settings, seed, logs and hashes of data and checkpoint: a few hundred kilobytes");
  flags.example("hadal package runs/first first.package --with-data",
                "with the text, for a machine that does not have it");
  flags.positional("RUN", o.run, "folder that hadal train wrote");
  flags.positional("OUT", o.out, "new folder");
  flags.flag("with-data", o.options.with_data,
             "the text itself, and the weights of model.init, go along");
}

int run_package(const PackageCommand& o, const CommonOptions&, Output& out) {
  const Json report = package_run(o.run, o.out, o.options);
  if (out.json()) {
    out.report(report);
    return 0;
  }
  const std::string& reason = report.at("not_repeatable").as_string();
  out.text(concat(o.out, ": ", report.at("files").as_integer(), " files, the run until step ",
                  report.at("step").as_integer(), "\n"));
  out.text(reason.empty() ? concat("Repeat it with hadal repeat ", o.out, "\n")
                          : concat("It cannot be repeated by one training: ", reason, "\n"));
  return 0;
}

struct RepeatCommand {
  std::string package;
  RepeatOptions options;
};

void bind_repeat(Flags& flags, RepeatCommand& o) {
  flags.example("hadal repeat first.package --out runs/again",
                "train again and say whether every bit is the same");
  flags.example("hadal repeat first.package --out runs/again --data texts --data more.jsonl",
                "the text lies elsewhere on this machine");
  flags.example("hadal repeat first.package --out runs/again --resume",
                "go on where it was interrupted");
  flags.positional("PACKAGE", o.package, "folder that hadal package wrote");
  flags.option("out,-o", o.options.out, "folder of the new run (default: PACKAGE.repeat)");
  flags.option("data", o.options.data,
               "where a path of the run's text is here; once for each, in its order");
  flags.option("init", o.options.init, "where the model is here that the run began with");
  flags.flag("resume", o.options.resume, "go on with the run in --out");
}

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

int run_repeat(const RepeatCommand& o, const CommonOptions& common, Output& out) {
  RepeatOptions options = o.options;
  if (options.out.empty()) options.out = without_slash(o.package) + ".repeat";
  // A newer machine computes as the run's did; of one that cannot, repeat_package says so.
  cpu::limit_to_recorded_simd(packed_instruction_set(o.package));
  catch_interrupts();
  ThreadPool pool(common.threads);
  const ComputeDevice device(common.chosen_device());
  Arena arena(device.memory());
  Context ctx = device.context(pool, arena);
  const Json report = repeat_package(ctx, o.package, options);
  const bool equal = report.at("equal").as_bool();
  if (out.json()) {
    out.report(report);
  } else if (equal) {
    out.text(concat("the same bit for bit: ", report.at("steps").as_integer(), " steps, ",
                    report.at("files").as_integer(), " files\n"));
  } else {
    const Json::Array& differing = report.at("differing").as_array();
    out.text(concat("not the same: ", differing.front().as_string(), "\n"));
    for (size_t i = 1; i < differing.size(); ++i) {
      out.text(concat("  ", differing[i].as_string(), "\n"));
    }
  }
  return equal ? 0 : 1;
}

}  // namespace

Command make_package_command() {
  return define_command<PackageCommand>(
      "package", "pack a run so that another machine can repeat it bit for bit", bind_package,
      run_package);
}

Command make_repeat_command() {
  return define_command<RepeatCommand>("repeat", "train a packed run again and compare every bit",
                                       bind_repeat, run_repeat);
}

}  // namespace hadal::cli
