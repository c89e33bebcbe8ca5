// corpus/dependency_order.h: the files of a repository in the order in which they build on each other,
// as DeepSeek-Coder's training samples have them (arXiv:2401.14196, section 2.2, algorithm 1).
//
// Which file a file uses is read from its text by the rules of its language: #include of C and C++,
// import of Python, Java, Kotlin, JavaScript and TypeScript, mod of Rust. Names are looked up in an
// index of the repository's paths; what is not found there is some other package's.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hadal {

class DependencyGraph {
 public:
  // Paths inside the repository, with '/'. REQUIRES sorted, no two alike.
  explicit DependencyGraph(std::vector<std::string> paths);
  // What file `index` uses, from its text. Once a file, in any order.
  void read(size_t index, std::string_view text);
  // Groups of files that have nothing to do with each other, by their first path. In each, every file
  // behind those it uses; of a cycle the file with the fewest uses that are still to come, of equals
  // the first by path, goes first.
  std::vector<std::vector<size_t>> ordered() const;
  const std::set<size_t>& used_by(size_t index) const { return uses_[index]; }

 private:
  // The file that `name` means to a file in `folder`: relative to it if there is one, otherwise the
  // first path that ends with it. Nothing if there is none.
  void use(size_t user, const std::string& folder, const std::string& name);
  bool use_path(size_t user, const std::string& path);
  bool use_suffix(size_t user, const std::string& suffix);
  void read_line(size_t index, const std::string& language, std::string_view line);

  std::vector<std::string> paths_;
  std::map<std::string, size_t, std::less<>> by_path_;
  std::multimap<std::string, size_t, std::less<>> by_name_;  // last part of the path
  std::vector<std::set<size_t>> uses_;
};

// The line that says which file follows, as a comment of its language: "// core/rng.h"; "" for text
// that is no program.
std::string path_comment(const std::string& path);

}  // namespace hadal
