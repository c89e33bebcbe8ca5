// cli/cmd_reproduce.cc: `hadal reproduce`
#include <algorithm>
#include <cctype>
#include <cstring>

#include "hadal/cli/commands.h"
#include "hadal/command/quantity.h"
#include "hadal/core/clock.h"
#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/corpus/default_corpora.h"
#include "hadal/ops/compute_device.h"
#include "hadal/reproduce/page.h"

namespace hadal::cli {
namespace {

struct ReproduceCommand {
  std::string name, tokens;
  std::vector<std::string> text;
  ReproduceOptions options;
  bool list = false;
};

void bind(Flags& flags, ReproduceCommand& o) {
  flags.library_names({{"experiment", "NAME"}});
  flags.example("hadal reproduce list", "the claims that can be measured");
  flags.example("hadal reproduce accumulation --out pages", "seconds: needs no training");
  flags.example("hadal reproduce loss-free-balance --out pages --tokens 2M --resume",
                "ten small runs, or those that are missing");
  flags.example("hadal reproduce fp8-vs-bf16 --out pages --jobs 2 --threads 2",
                "two runs at once with a thread each: small models use more threads badly");
  flags.positional("NAME", o.name, "a claim, or list", /*is_required=*/false);
  flags.flag("list", o.list, "the claims and what they take");
  flags.option("out,-o", o.options.out, "folder of the page and of the runs");
  flags.option("seeds", o.options.seeds, "seeds of every variant");
  flags.option("tokens", o.tokens, "of each run: 500K, 2M (default: the claim's own)");
  flags.option("jobs", o.options.jobs, "runs at once, each with a share of the threads");
  flags.option("text", o.text, "files or folders to train on (default: debian-docs)");
  flags.option("cache", o.options.effort.cache_dir, "where prepared text is kept");
  flags.flag("quick", o.options.effort.quick, "does it work? Seconds, figures that mean nothing");
  flags.flag("resume", o.options.resume, "go on with unfinished runs in --out");
}

int list(Output& out) {
  Json all = Json::array();
  std::string text;
  for (const Experiment& each : experiments()) {
    Json entry = Json::object();
    entry["name"] = each.name;
    entry["claim"] = each.claim;
    entry["reported"] = each.reported;
    entry["default_tokens"] = each.default_tokens;
    all.push_back(std::move(entry));
    text += concat(each.name, std::string(24 - std::min<size_t>(23, each.name.size()), ' '),
                   each.claim, "\n");
  }
  Json report = Json::object();
  report["experiments"] = std::move(all);
  if (out.json()) {
    out.report(report);
  } else {
    out.text(text);
  }
  return 0;
}

std::vector<std::string> default_text() {
  return {fetch_default_corpus(find_default_corpus("debian-docs"), hadal_cache_folder()).folder};
}

// One word for a shell.
std::string shell_word(const std::string& text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::strchr("_./-+=:,@%", c) != nullptr;
  });
  if (plain && !text.empty()) return text;
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? "'\\''" : std::string(1, c);
  return word + "'";
}

// What repeats the page, as it is typed.
std::string command_line(const ReproduceCommand& o) {
  std::string line = concat("hadal reproduce ", o.name, " --out DIR --seeds ", o.options.seeds);
  if (!o.tokens.empty()) line += " --tokens " + o.tokens;
  for (const std::string& path : o.text) line += " --text " + shell_word(path);
  return line + (o.options.effort.quick ? " --quick" : "");
}

int run(const ReproduceCommand& o, const CommonOptions& common, Output& out) {
  if (o.list || o.name == "list") return list(out);
  const Experiment& experiment = find_experiment(o.name);
  require(!o.options.out.empty(), {.field = "out",
                                   .problem = "the page needs a folder",
                                   .found = "none",
                                   .advice = "give {out} DIR"});
  catch_interrupts();
  ReproduceOptions options = o.options;
  if (!o.tokens.empty()) {
    const double tokens = parse_quantity("--tokens", o.tokens);
    require(
        tokens >= 1.0 && tokens <= 1e12,
        {.field = "--tokens", .problem = "out of range", .found = o.tokens, .expected = "1 to 1T"});
    options.effort.tokens = static_cast<int64_t>(tokens);
  }
  if (experiment.training) options.effort.text = o.text.empty() ? default_text() : o.text;
  ThreadPool pool(common.threads);
  const ComputeDevice device(common.chosen_device());
  Arena arena(device.memory());
  Context ctx = device.context(pool, arena);
  const Json result = reproduce(ctx, experiment, options,
                                {.date = rfc3339_utc(unix_seconds()).substr(0, 10),
                                 .machine = this_machine(),
                                 .version = HADAL_VERSION,
                                 .command = command_line(o)});
  if (out.json()) {
    out.report(result);
    return 0;
  }
  for (const Json& claim : result.at("claims").as_array()) {
    out.text(concat(claim.at("verdict").as_string(), ": ", claim.at("claim").as_string(), "\n"));
  }
  out.text(concat("The page: ", options.out, "/", experiment.name, ".md\n"));
  return 0;
}

}  // namespace

Command make_reproduce_command() {
  return define_command<ReproduceCommand>(
      "reproduce", "measure one of DeepSeek-V3's claims about training, and write its page", bind,
      run);
}

}  // namespace hadal::cli
