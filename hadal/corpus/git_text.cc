#include "hadal/corpus/git_text.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/json.h"
#include "hadal/core/utf8.h"
#include "hadal/corpus/content_hash.h"
#include "hadal/corpus/functions.h"
#include "hadal/corpus/run_program.h"
#include "hadal/corpus/source_file.h"
#include "hadal/io/atomic_folder.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "hadal git text 1";
constexpr size_t kTellingLine = 20;  // bytes of a line that says where it comes from

std::string without_last_break(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

// A clone without a history of its own, in a folder that goes away.
class GitClone {
 public:
  GitClone(const std::string& repository, const std::string& folder,
           const std::vector<std::string>& without)
      : repository_(repository),
        path_(fs::absolute(folder).string() + "/clone"),
        written_(fs::absolute(folder).string() + "/output") {
    const ProgramResult done = run_program(
        {"git", "clone", "--quiet", "--shared", fs::absolute(repository).string(), path_}, folder);
    if (done.exit_code != 0) refuse("git cannot clone it", done);
    head_ = word({"rev-parse", "--verify", "HEAD"});
    no_files_ = word({"hash-object", "-t", "tree", "/dev/null"});
    if (without.empty()) return;
    files_ = {"--", "."};
    for (const std::string& each : without) files_.push_back(":(exclude)" + each);
  }
  ~GitClone() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    fs::remove(written_, ignored);
  }
  GitClone(const GitClone&) = delete;
  GitClone& operator=(const GitClone&) = delete;

  const std::string& path() const { return path_; }
  const std::string& head() const { return head_; }          // the last commit
  const std::string& no_files() const { return no_files_; }  // what there was before the first

  bool succeeds(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "git");
    return run_program(arguments, path_).exit_code == 0;
  }
  // What a command of git's log and diff family writes about the files that are not left out, in full.
  std::string text(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "git");
    arguments.insert(arguments.end(), files_.begin(), files_.end());
    arguments.insert(arguments.begin() + 2, "--output=" + written_);
    const ProgramResult done = run_program(arguments, path_);
    if (done.exit_code != 0) refuse("git " + arguments[1] + " failed", done);
    return read_text_file(written_);
  }

 private:
  // The one word that a command prints.
  std::string word(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "git");
    const ProgramResult done = run_program(arguments, path_);
    if (done.exit_code != 0) refuse("git " + arguments[1] + " failed", done);
    return without_last_break(done.output);
  }
  [[noreturn]] void refuse(const std::string& problem, const ProgramResult& done) const {
    throw FormatError({.place = repository_,
                       .problem = problem,
                       .found = one_line(without_last_break(done.output), 200),
                       .expected = "a git repository with a commit"});
  }

  std::string repository_, path_, written_;
  std::string head_, no_files_;
  std::vector<std::string> files_;  // a pathspec; empty: all
};

std::vector<std::string> split_at(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

std::string commit_before(const std::string& folder, const GitClone& clone) {
  const std::string path = folder + "/state.json";
  if (!path_exists(path)) return "";
  const Json state = parse_json_file(path);
  const Json* format = state.find("format");
  if (!format || *format != Json(kFormat)) {
    throw FormatError({.place = path, .problem = "not written by `hadal data repository`"});
  }
  const Json* recorded = state.find("commit");
  const std::string commit = recorded && recorded->is_string() ? recorded->as_string() : "";
  const bool known = clone.succeeds({"merge-base", "--is-ancestor", commit, "HEAD"});
  if (known) return commit;
  throw FormatError({.place = path,
                     .problem = "its commit is not in the history",
                     .found = one_line(commit, 60),
                     .advice = "name another folder to begin again"});
}

// A file, its held-out functions, and what is left of it.
class HeldOutFunctions {
 public:
  explicit HeldOutFunctions(double share) : share_(share) {}

  // Every function of the repository, before any is cut.
  void consider(const std::string& path, const std::string& text) {
    for (const FunctionSpan& function : functions_of(path, text)) {
      const double position = position_of(path, function);
      ++functions_;
      lowest_ = std::min(lowest_, position);
    }
  }

  std::string cut(const std::string& path, const std::string& text) {
    std::string left;
    size_t from = 0;
    for (const FunctionSpan& function : functions_of(path, text)) {
      const double position = position_of(path, function);
      if (share_ == 0.0 || (position >= share_ && position > lowest_)) continue;
      left += text.substr(from, function.begin - from);
      from = function.end;
      Json line = Json::object();
      line["name"] = path + ":" + function.name;
      line["prompt"] = left + text.substr(function.begin, function.body - function.begin);
      line["text"] = text.substr(function.body, function.end - function.body);
      remember_lines(line.at("text").as_string());
      lines_ += line.dump() + "\n";
      ++held_out_;
    }
    return left + text.substr(from);
  }

  // A line that only a held-out function would have.
  bool tells_of_one(const std::string& text) const {
    for (const std::string& line : split_at(text, '\n')) {
      if (telling_.contains(stripped(line))) return true;
    }
    return false;
  }

  const std::string& json_lines() const { return lines_; }
  int64_t functions() const { return functions_; }
  int64_t held_out() const { return held_out_; }

 private:
  static double position_of(const std::string& path, const FunctionSpan& function) {
    return split_position(exact_hash(path + "\n" + function.name));
  }
  // Without the blanks around it and a patch's mark before it.
  static std::string stripped(const std::string& line) {
    const size_t begin = line.find_first_not_of(" \t+-");
    const size_t end = line.find_last_not_of(" \t\r");
    return begin == std::string::npos || end < begin ? "" : line.substr(begin, end - begin + 1);
  }
  void remember_lines(const std::string& body) {
    for (const std::string& line : split_at(body, '\n')) {
      if (std::string text = stripped(line); text.size() >= kTellingLine) telling_.insert(text);
    }
  }

  double share_, lowest_ = 1.0;
  int64_t functions_ = 0, held_out_ = 0;
  std::set<std::string> telling_;
  std::string lines_;
};

// Calls `take` for every tracked text file that differs from `since`, in the order of the paths.
void for_each_file(const GitClone& clone, const std::string& since,
                   const std::function<void(const std::string& path, std::string text)>& take) {
  std::vector<std::string> paths = split_at(
      clone.text({"diff", "--name-only", "-z", "--no-renames", "--diff-filter=AM", since, "HEAD"}),
      '\0');
  std::sort(paths.begin(), paths.end());
  SourceRemarks unsaid;
  for (const std::string& path : paths) {
    const std::string file = clone.path() + "/" + path;
    if (!fs::is_regular_file(fs::symlink_status(file))) continue;  // links, submodules
    auto document = read_document_file(file, {}, unsaid);
    if (document && !is_blank(document->text)) take(path, std::move(document->text));
  }
}

// Text may hold any byte but this one before a commit's name: the name is a hash of the text.
std::string header_of(const std::string& commit) { return std::string(1, '\0') + commit + '\0'; }

void write_commits(const GitClone& clone, const std::string& since, const std::string& path,
                   const HeldOutFunctions& held_out, int64_t max_patch_bytes, GitText& result) {
  const auto log = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"log", "--reverse", "--no-color", "--full-history"});
    if (!since.empty()) arguments.push_back(since + "..HEAD");
    return clone.text(std::move(arguments));
  };
  const std::vector<std::string> commits = split_at(log({"--format=%H"}), '\n');
  const std::string all =
      log({"--patch", "--no-ext-diff", "--no-textconv", "--format=%x00%H%x00%B%x00"});
  AtomicFile file(path);
  size_t at = 0;  // of the header of commits[i]
  for (size_t i = 0; i < commits.size(); ++i) {
    const size_t begin = at + header_of(commits[i]).size();
    at = i + 1 < commits.size() ? all.find(header_of(commits[i + 1]), begin) : all.size();
    const size_t message_end = all.find('\0', begin);
    if (at > all.size() || message_end >= at) {
      throw Error(concat("git log: no end of commit ", commits[i]));
    }
    std::string text = repair_utf8(all.substr(begin, message_end - begin));
    const std::string patch = repair_utf8(all.substr(message_end + 1, at - message_end - 1));
    const bool short_enough = static_cast<int64_t>(patch.size()) <= max_patch_bytes;
    if (!is_blank(patch) && short_enough && !held_out.tells_of_one(patch)) {
      text += patch;
      ++result.patches;
    }
    ++result.commits;
    Json line = Json::object();
    line["name"] = commits[i];
    line["text"] = text;
    file.write(line.dump() + "\n");
  }
  file.commit();
}

}  // namespace

GitText write_git_text(const std::string& repository, const std::string& folder,
                       const GitTextOptions& options) {
  require(options.held_out_share >= 0.0 && options.held_out_share < 1.0,
          {.field = "held_out_share",
           .problem = "not a share",
           .found = options.held_out_share,
           .expected = "0 up to, but not, 1"});
  require(options.max_patch_bytes >= 0, {.field = "max_patch_bytes",
                                         .problem = "out of range",
                                         .found = options.max_patch_bytes,
                                         .expected = "0 or more"});
  for (const std::string& each : options.without) {
    require(!each.empty(), {.field = "without", .problem = "empty", .expected = "*.svg or a path"});
  }
  require(is_folder(repository),
          {.place = repository, .problem = "no such folder", .expected = "a git repository"});
  require(!path_exists(folder) || path_exists(folder + "/state.json"),
          {.place = folder,
           .problem = "is there and holds something else",
           .advice = "name a folder that is not there yet"});
  AtomicFolder whole(folder);
  const std::string& out = whole.temporary();
  GitText result;
  {
    const GitClone clone(repository, out, options.without);
    result.since = commit_before(folder, clone);
    result.commit = clone.head();
    HeldOutFunctions held_out(options.held_out_share);
    for_each_file(clone, clone.no_files(), [&](const std::string& path, const std::string& text) {
      held_out.consider(path, text);
    });
    std::set<std::string> changed;
    for_each_file(clone, result.since.empty() ? clone.no_files() : result.since,
                  [&](const std::string& path, const std::string&) { changed.insert(path); });
    make_folders(out + "/files");
    for_each_file(clone, clone.no_files(), [&](const std::string& path, const std::string& text) {
      const std::string left = held_out.cut(path, text);
      if (!changed.contains(path) || is_blank(left)) return;
      const std::string file = out + "/files/" + path;
      make_folders(fs::path(file).parent_path());
      write_file_atomically(file, left);
      ++result.files;
      result.bytes += static_cast<int64_t>(left.size());
    });
    write_commits(clone, result.since, out + "/commits.jsonl", held_out, options.max_patch_bytes,
                  result);
    write_file_atomically(out + "/held_out.jsonl", held_out.json_lines());
    result.functions = held_out.functions();
    result.held_out = held_out.held_out();
  }
  Json state = Json::object();
  state["format"] = kFormat;
  state["commit"] = result.commit;
  write_file_atomically(out + "/state.json", state.dump(2) + "\n");
  whole.commit();
  return result;
}

}  // namespace hadal
