#include "hadal/corpus/dependency_order.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <utility>

#include "hadal/corpus/source_file.h"

namespace hadal {
namespace {

struct Language {
  const char* extensions;  // between spaces
  const char* name;
  const char* comment;  // what begins a comment line
};
constexpr Language kLanguages[] = {
    {" c h cc cpp cxx hh hpp hxx inc cu cuh m mm ", "c", "//"},
    {" py pyi ", "python", "#"},
    {" js jsx ts tsx mjs cjs ", "javascript", "//"},
    {" java kt kts scala ", "java", "//"},
    {" rs ", "rust", "//"},
    {" go cs swift php dart proto ", "", "//"},
    {" sh bash pl pm rb r jl ex exs cmake toml yml yaml mk ", "", "#"},
    {" lua sql hs ada vhd ", "", "--"},
    {" tex erl ", "", "%"},
    {" lisp el scm clj ", "", ";;"},
};

const Language* language_of(const std::string& path) {
  const std::string extension = " " + text_extension(path) + " ";
  for (const Language& language : kLanguages) {
    if (std::string_view(language.extensions).find(extension) != std::string_view::npos) {
      return &language;
    }
  }
  return nullptr;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string joined_path(const std::string& folder, const std::string& name) {
  const std::string path =
      std::filesystem::path(folder.empty() ? name : folder + "/" + name).lexically_normal();
  return path.starts_with("./") ? path.substr(2) : path;
}

bool is_name_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

// Takes `word` from the front, and the blanks behind it; a word ends where no name goes on.
bool take_word(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  if (text.size() > word.size() && is_name_character(word.back()) &&
      is_name_character(text[word.size()])) {
    return false;
  }
  text.remove_prefix(word.size());
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(" \t")));
  return true;
}

std::string dotted_name(std::string_view text) {
  const auto end = std::find_if(text.begin(), text.end(),
                                [](char c) { return !is_name_character(c) && c != '.'; });
  return {text.begin(), end};
}

std::string with_slashes(std::string name) {
  std::replace(name.begin(), name.end(), '.', '/');
  return name;
}

// What stands in quotes first: 'x' or "x".
std::string quoted_part(std::string_view text) {
  const size_t begin = text.find_first_of("\"'");
  if (begin == std::string_view::npos) return "";
  const size_t end = text.find(text[begin], begin + 1);
  return end == std::string_view::npos ? "" : std::string(text.substr(begin + 1, end - begin - 1));
}

}  // namespace

DependencyGraph::DependencyGraph(std::vector<std::string> paths)
    : paths_(std::move(paths)), uses_(paths_.size()) {
  for (size_t i = 0; i < paths_.size(); ++i) {
    by_path_[paths_[i]] = i;
    by_name_.emplace(paths_[i].substr(paths_[i].rfind('/') + 1), i);
  }
}

bool DependencyGraph::use_path(size_t user, const std::string& path) {
  const auto found = by_path_.find(path);
  if (found == by_path_.end()) return false;
  if (found->second != user) uses_[user].insert(found->second);
  return true;
}

bool DependencyGraph::use_suffix(size_t user, const std::string& suffix) {
  const auto [begin, end] = by_name_.equal_range(suffix.substr(suffix.rfind('/') + 1));
  for (auto each = begin; each != end; ++each) {  // in the order of the paths
    const std::string& path = paths_[each->second];
    if (path == suffix || path.ends_with("/" + suffix)) return use_path(user, path);
  }
  return false;
}

void DependencyGraph::use(size_t user, const std::string& folder, const std::string& name) {
  if (name.empty()) return;
  if (!use_path(user, joined_path(folder, name))) use_suffix(user, name);
}

void DependencyGraph::read_line(size_t index, const std::string& language, std::string_view line) {
  const std::string folder = folder_of(paths_[index]);
  if (language == "c") {
    if (!take_word(line, "#") || !take_word(line, "include")) return;
    const char close = line.starts_with('<') ? '>' : '"';
    const size_t end = line.find(close, 1);
    if (end != std::string_view::npos) use(index, folder, std::string(line.substr(1, end - 1)));
  } else if (language == "python") {
    const bool from = take_word(line, "from");
    if (!from && !take_word(line, "import")) return;
    std::string name = dotted_name(line);
    std::string where;
    if (name.starts_with('.')) {  // one dot: this folder; each further one: the folder above
      const size_t dots = std::min(name.find_first_not_of('.'), name.size());
      where = folder;
      for (size_t up = 1; up < dots; ++up) where = folder_of(where);
      const size_t import = line.find("import");
      name = name.substr(dots);
      if (name.empty() && import != std::string_view::npos) {  // from . import x
        std::string_view rest = line.substr(import);
        take_word(rest, "import");
        name = dotted_name(rest);
      }
      if (use_path(index, joined_path(where, with_slashes(name) + ".py"))) return;
      use_path(index, joined_path(where, with_slashes(name) + "/__init__.py"));
      return;
    }
    if (name.empty()) return;
    if (use_suffix(index, with_slashes(name) + ".py")) return;
    use_suffix(index, with_slashes(name) + "/__init__.py");
  } else if (language == "javascript") {
    const bool loads = line.starts_with("import") || line.starts_with("export") ||
                       line.find("require(") != std::string_view::npos;
    const size_t from = line.find(" from ");
    const std::string name =
        loads ? quoted_part(from == std::string_view::npos ? line : line.substr(from)) : "";
    if (!name.starts_with('.')) return;  // a package
    for (const char* end : {"", ".ts", ".tsx", ".js", ".jsx", ".mjs", "/index.ts", "/index.js"}) {
      if (use_path(index, joined_path(folder, name + end))) return;
    }
  } else if (language == "java") {
    if (!take_word(line, "import")) return;
    take_word(line, "static");
    std::string name = with_slashes(dotted_name(line));
    if (use_suffix(index, name + ".java") || use_suffix(index, name + ".kt")) return;
    name = folder_of(name);  // a member of the class
    if (!name.empty() && !use_suffix(index, name + ".java")) use_suffix(index, name + ".kt");
  } else if (language == "rust") {
    take_word(line, "pub");
    if (!take_word(line, "mod")) return;
    const std::string name = dotted_name(line);
    const std::string own = std::filesystem::path(paths_[index]).stem();
    const bool root = own == "mod" || own == "lib" || own == "main";
    const std::string inside = root ? folder : joined_path(folder, own);
    if (!name.empty() && !use_path(index, joined_path(inside, name + ".rs"))) {
      use_path(index, joined_path(inside, name + "/mod.rs"));
    }
  }
}

void DependencyGraph::read(size_t index, std::string_view text) {
  const Language* language = language_of(paths_[index]);
  if (!language || !*language->name) return;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(" \t")));
    read_line(index, language->name, line);
  }
}

std::vector<std::vector<size_t>> DependencyGraph::ordered() const {
  const size_t n = paths_.size();
  std::vector<size_t> group(n);  // the smallest index that a file hangs together with
  std::iota(group.begin(), group.end(), size_t{0});
  const auto root = [&](size_t i) {
    while (group[i] != i) i = group[i] = group[group[i]];
    return i;
  };
  std::vector<size_t> missing(n);  // files used that are not out yet
  std::vector<std::vector<size_t>> users(n);
  for (size_t i = 0; i < n; ++i) {
    missing[i] = uses_[i].size();
    for (const size_t used : uses_[i]) {
      users[used].push_back(i);
      const auto [low, high] = std::minmax({root(i), root(used)});
      group[high] = low;
    }
  }
  std::map<size_t, std::set<std::pair<size_t, size_t>>> waiting;  // group -> (missing, file)
  for (size_t i = 0; i < n; ++i) waiting[root(i)].insert({missing[i], i});
  std::vector<std::vector<size_t>> result;
  for (auto& [first, files] : waiting) {
    std::vector<size_t>& order = result.emplace_back();
    while (!files.empty()) {
      const size_t next = files.begin()->second;
      files.erase(files.begin());
      order.push_back(next);
      for (const size_t user : users[next]) {
        if (files.erase({missing[user], user}) == 1) files.insert({--missing[user], user});
      }
    }
  }
  return result;
}

std::string path_comment(const std::string& path) {
  const Language* language = language_of(path);
  return language ? std::string(language->comment) + " " + path + "\n" : "";
}

}  // namespace hadal
