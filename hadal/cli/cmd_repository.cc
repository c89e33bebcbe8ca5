// cli/cmd_repository.cc: `hadal data repository`, `hadal bench completion`
#include "hadal/cli/commands.h"
#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/corpus/git_text.h"
#include "hadal/measure/completion.h"

namespace hadal::cli {
namespace {

struct RepositoryOptions {
  std::string repository, out;
  GitTextOptions text;
};

void bind_repository(Flags& flags, RepositoryOptions& o) {
  flags.library_names({{"held_out_share", "--held-out-share"},
                       {"max_patch_bytes", "--max-patch-bytes"},
                       {"without", "--without"}});
  flags.example("hadal data repository ~/work/project --out project-text",
                "its files and commits as text; again later: what came since");
  flags.positional("REPOSITORY", o.repository, "folder of a git repository; it is only read");
  flags.required("out", o.out,
                 "folder to write: files/, commits.jsonl, held_out.jsonl, state.json");
  flags.option("held-out-share", o.text.held_out_share,
               "share of the functions that are kept for `hadal bench completion`");
  flags.option("max-patch-bytes", o.text.max_patch_bytes,
               "of a longer patch only the message is kept");
  flags.option(
      "without", o.text.without,
      "files to leave out, as *.svg or vendor (git's pathspecs); may be given several times");
}

int run_repository(const RepositoryOptions& o, const CommonOptions&, Output& out) {
  catch_interrupts();
  const GitText text = write_git_text(o.repository, o.out, o.text);
  Json report = Json::object();
  report["out"] = o.out;
  report["commit"] = text.commit;
  report["since"] = text.since.empty() ? Json() : Json(text.since);
  report["files"] = text.files;
  report["bytes"] = text.bytes;
  report["commits"] = text.commits;
  report["patches"] = text.patches;
  report["functions"] = text.functions;
  report["held_out_functions"] = text.held_out;
  out.report(report);
  return 0;
}

struct CompletionOptions {
  std::string model, held_out;
  int64_t window = 0;
};

void bind_completion(Flags& flags, CompletionOptions& o) {
  flags.library_names({{"window", "--window"}});
  flags.example(
      "hadal bench completion --model runs/team/latest --held-out project-text/held_out.jsonl",
      "how well functions that it has not read are written");
  flags.required("model,-m", o.model, "model folder");
  flags.required("held-out", o.held_out, "held_out.jsonl of `hadal data repository`");
  flags.option("window", o.window,
               "tokens of file and function read together; 0: as many as the model has positions");
}

int run_completion(const CompletionOptions& o, const CommonOptions& common, Output& out) {
  catch_interrupts();
  const std::vector<HeldOutText> texts = read_held_out(o.held_out);
  TextModel model(o.model, common.threads, common.chosen_device(), /*with_mtp=*/false);
  const CompletionScore score = score_completions(model, texts, o.window);
  const auto share = [](int64_t part, int64_t whole) {
    return whole > 0 ? Json(static_cast<double>(part) / static_cast<double>(whole)) : Json();
  };
  Json report = Json::object();
  report["functions"] = score.texts;
  report["exact_functions"] = share(score.exact_texts, score.texts);
  report["lines"] = score.lines;
  report["exact_lines"] = share(score.exact_lines, score.lines);
  report["word_lines"] = score.word_lines;
  report["exact_word_lines"] = share(score.exact_word_lines, score.word_lines);
  report["bits_per_byte"] = score.bits_per_byte();
  out.report(report);
  return 0;
}

}  // namespace

Command make_data_repository_command() {
  return define_command<RepositoryOptions>("data repository",
                                           "a git repository's files and commits as text",
                                           bind_repository, run_repository);
}

Command make_bench_completion_command() {
  return define_command<CompletionOptions>(
      "bench completion", "complete held-out functions: exact match, bits per byte",
      bind_completion, run_completion);
}

}  // namespace hadal::cli
