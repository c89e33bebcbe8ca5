// cli/cmd_needle.cc: `hadal bench needle`
#include <charconv>
#include <cmath>
#include <cstdio>

#include "hadal/cli/cache_flags.h"
#include "hadal/cli/commands.h"
#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/draw/heat_map.h"
#include "hadal/io/atomic_write.h"
#include "hadal/measure/needle.h"

namespace hadal::cli {
namespace {

struct NeedleCommand {
  std::string model, svg;
  std::vector<std::string> contexts, depths;
  int64_t trials = 2;
  CacheFlags cache;
  ActivationsFlag activations;
};

void bind(Flags& flags, NeedleCommand& o) {
  flags.library_names({{"context", "--context"}, {"depths", "--depths"}, {"trials", "--trials"}});
  flags.example("hadal bench needle --model DIR --context 4096,16384 --svg needle.svg",
                "is a sentence found, wherever it stands in a long text?");
  flags.required("model,-m", o.model, "model folder");
  flags.option("context", o.contexts,
               "lengths of the text in tokens, as 4096,16384 (default: 1024)");
  flags.option("depths", o.depths,
               "where the sentence stands, as 0,0.5,1 (default: 0 to 1 in quarters)");
  flags.option("trials", o.trials, "texts for each of them");
  flags.option("svg", o.svg, "draw the table into this file");
  o.cache.bind_dtype(flags);
  o.activations.bind(flags);
}

// The numbers of "1,2.5" and of every repetition.
template <class Number>
std::vector<Number> numbers(const std::vector<std::string>& lists, const char* option) {
  std::vector<Number> values;
  for (const std::string& list : lists) {
    for (size_t begin = 0; begin <= list.size();) {
      const size_t end = std::min(list.find(',', begin), list.size());
      Number value{};
      const auto [stop, error] = std::from_chars(list.data() + begin, list.data() + end, value);
      require(error == std::errc() && stop == list.data() + end,
              {.field = option,
               .problem = "not a list of numbers",
               .found = list,
               .expected = "numbers with commas between them"});
      values.push_back(value);
      begin = end + 1;
    }
  }
  return values;
}

std::string number_label(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

Json cell_json(const NeedleCell& cell) {
  Json json = Json::object();
  json["context"] = cell.context;
  json["depth"] = cell.depth;
  json["trials"] = cell.trials;
  json["found"] = cell.found;
  json["ranked_first"] = cell.first_rank;
  json["mean_rank"] = cell.mean_rank;
  json["logprob"] = cell.logprob;
  return json;
}

std::string table(const std::vector<NeedleCell>& cells) {
  std::string text = "context   depth   found   ranked first   mean rank   log-probability\n";
  for (const NeedleCell& cell : cells) {
    char line[128];
    std::snprintf(line, sizeof line, "%7lld   %5.2f   %lld/%lld   %8lld/%lld   %9.2f   %15.2f\n",
                  static_cast<long long>(cell.context), cell.depth,
                  static_cast<long long>(cell.found), static_cast<long long>(cell.trials),
                  static_cast<long long>(cell.first_rank), static_cast<long long>(cell.trials),
                  cell.mean_rank, cell.logprob);
    text += line;
  }
  return text + concat("Chance: ranked first in 1 of ", kNeedleCandidates, ", mean rank ",
                       number_label((kNeedleCandidates - 1) / 2.0), ".\n");
}

void draw(const std::string& file, const NeedleOptions& o, const std::vector<NeedleCell>& cells) {
  HeatMap map;
  map.title = "Sentences found (ranked first among ten) of those looked for";
  map.row_name = "depth";
  map.column_name = "tokens of the text";
  for (const int64_t context : o.contexts) map.columns.push_back(std::to_string(context));
  for (const double depth : o.depths) map.rows.push_back(number_label(depth));
  map.share.assign(map.rows.size(), std::vector<double>(map.columns.size(), std::nan("")));
  map.text.assign(map.rows.size(), std::vector<std::string>(map.columns.size()));
  for (size_t i = 0; i < cells.size(); ++i) {
    const size_t row = i % map.rows.size(), column = i / map.rows.size();
    const double n = static_cast<double>(cells[i].trials);
    map.share[row][column] = static_cast<double>(cells[i].found) / n;
    map.text[row][column] =
        concat(cells[i].found, " (", cells[i].first_rank, ") / ", cells[i].trials);
  }
  write_file_atomically(file, heat_map_svg(map));
}

int run(const NeedleCommand& o, const CommonOptions& common, Output& out) {
  NeedleOptions options{.contexts = numbers<int64_t>(o.contexts, "--context"),
                        .depths = numbers<double>(o.depths, "--depths"),
                        .trials = o.trials,
                        .cache = o.cache.form(),
                        .seed = common.seed};
  if (options.contexts.empty()) options.contexts = {1024};
  if (options.depths.empty()) options.depths = {0, 0.25, 0.5, 0.75, 1};
  catch_interrupts();
  TextModel m(o.model, common.threads, common.chosen_device(), /*with_mtp=*/false);
  o.activations.apply(m.model);
  ProgressLine progress;
  options.on_progress = [&](double fraction) {
    if (progress.due()) progress.show(concat("looking for needles ", progress_bar(fraction, 24)));
    return !interrupted();
  };
  const std::vector<NeedleCell> cells = find_needles(m, options);
  if (interrupted()) throw Interrupted("bench needle: interrupted");
  if (!o.svg.empty()) draw(o.svg, options, cells);
  if (!out.json()) {
    out.text(table(cells));
    return 0;
  }
  Json report = Json::object();
  Json::Array all;
  for (const NeedleCell& cell : cells) all.push_back(cell_json(cell));
  report["cells"] = std::move(all);
  report["candidates"] = kNeedleCandidates;
  out.report(report);
  return 0;
}

}  // namespace

Command make_bench_needle_command() {
  return define_command<NeedleCommand>(
      "bench needle", "test whether a sentence in a long text is found", bind, run);
}

}  // namespace hadal::cli
