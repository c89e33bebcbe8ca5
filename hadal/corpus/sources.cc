// corpus/sources.cc: the list of what a path may name.
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>

#include "hadal/core/descriptor.h"
#include "hadal/core/error.h"
#include "hadal/corpus/converted_stream.h"
#include "hadal/corpus/dependency_order.h"
#include "hadal/corpus/document_source.h"
#include "hadal/corpus/source_file.h"
#include "hadal/corpus/source_json_lines.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

void add_folder(const std::string& folder, std::vector<std::string>& files) {
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const bool hidden = entry->path().filename().native().starts_with('.');
    std::error_code unknown;
    if (hidden) {
      if (entry->is_directory(unknown)) entry.disable_recursion_pending();
    } else if (entry->is_regular_file(unknown)) {
      files.push_back(entry->path().native());
    }
    // Links to nowhere are passed over; what the system cannot look at might be text.
    const int reason = unknown.value();
    if (reason != 0 && reason != ELOOP && !means_absent(reason)) {
      refuse_io(entry->path(), "cannot be looked at", reason);
    }
  }
  if (error) {
    throw IoError(
        concat(folder, ": cannot be listed (", error.message(), "); check its permissions"));
  }
}

std::vector<std::string> expand_pattern(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  globfree(&found);
  return paths;
}

struct FoundFile {
  std::string path, folder;
  auto operator<=>(const FoundFile&) const = default;
};

std::vector<FoundFile> files_of(const std::string& argument) {
  std::vector<std::string> roots;
  if (path_exists(argument)) {
    roots.push_back(argument);
  } else {
    roots = expand_pattern(argument);
  }
  std::vector<FoundFile> files;
  for (const std::string& root : roots) {
    if (is_folder(root)) {
      std::vector<std::string> inside;
      add_folder(root, inside);
      for (std::string& path : inside) files.push_back({std::move(path), root});
    } else {
      files.push_back({root, ""});
    }
  }
  require(!files.empty(),
          {.place = argument,
           .problem = "no file found",
           .expected = "a file, a folder that holds files, or a pattern that matches some",
           .advice = "check the path"});
  std::sort(files.begin(), files.end());
  return files;
}

// A file, or the files of a repository that hang together.
using Unit = std::vector<size_t>;

std::string path_in(const SourceFile& file) {
  return fs::path(file.path).lexically_relative(file.folder).generic_string();
}

bool is_json_lines(const std::string& path) {
  const std::string extension = text_extension(path);
  return extension == "jsonl" || extension == "ndjson";
}

// Files [begin, end) are those of one repository.
void add_repository(const std::vector<SourceFile>& files, size_t begin, size_t end,
                    const SourceOptions& options, std::vector<Unit>& units) {
  Unit members;
  for (size_t i = begin; i < end; ++i) {
    if (is_json_lines(files[i].path)) {
      units.push_back({i});
    } else {
      members.push_back(i);
    }
  }
  std::sort(members.begin(), members.end(),
            [&](size_t a, size_t b) { return path_in(files[a]) < path_in(files[b]); });
  std::vector<std::string> paths;
  for (const size_t i : members) paths.push_back(path_in(files[i]));
  DependencyGraph graph(std::move(paths));
  SourceRemarks said_when_read_again;
  for (size_t i = 0; i < members.size(); ++i) {
    const auto document = read_document_file(files[members[i]].path, options, said_when_read_again);
    if (document) graph.read(i, document->text);
  }
  for (Unit group : graph.ordered()) {
    for (size_t& file : group) file = members[file];
    units.push_back(std::move(group));
  }
}

std::vector<Unit> units_of(const std::vector<SourceFile>& files, const SourceOptions& options) {
  std::vector<Unit> units;
  for (size_t begin = 0, end = 0; begin < files.size(); begin = end) {
    const SourceFile& first = files[begin];
    end = begin + 1;
    if (!options.repositories || first.folder.empty()) {
      units.push_back({begin});
      continue;
    }
    while (end < files.size() && files[end].argument == first.argument &&
           files[end].folder == first.folder) {
      ++end;
    }
    add_repository(files, begin, end, options, units);
  }
  return units;
}

// Hands out one unit after another.
class FileListSource final : public DocumentSource {
 public:
  FileListSource(std::vector<SourceFile> files, SourceOptions options)
      : files_(std::move(files)), options_(std::move(options)) {
    options_.validate();
    units_ = units_of(files_, options_);
  }

  std::optional<Document> next() override {
    for (;;) {
      if (lines_) {
        if (auto document = lines_->next()) {
          document->argument = argument_;
          return document;
        }
        counts_.empty_documents += lines_->counts().empty_documents;
        lines_.reset();
      }
      if (unit_ == units_.size()) return std::nullopt;
      const SourceFile& first = files_[units_[unit_].front()];
      argument_ = first.argument;
      if (is_json_lines(first.path)) {
        ++unit_;
        lines_ = open_json_lines(first.path, options_, counts_.remarks);
        ++counts_.files;
        continue;
      }
      if (auto document = next_of_unit()) return document;
    }
  }

  const SourceCounts& counts() const override { return counts_; }

 private:
  // The files of the unit from file_ on, as many as a document may hold; none if they have no text.
  std::optional<Document> next_of_unit() {
    const Unit& unit = units_[unit_];
    Document whole{"", "", argument_};
    for (; file_ < unit.size(); ++file_) {
      const SourceFile& file = files_[unit[file_]];
      auto document = read_document_file(file.path, options_, counts_.remarks);
      if (document && !is_blank(document->text) && in_repository(file)) {
        std::string& text = document->text;
        text.insert(0, path_comment(path_in(file)));
        if (text.back() != '\n' && unit.size() > 1) text += '\n';
        const size_t limit = static_cast<size_t>(options_.max_document_bytes);
        if (!whole.text.empty() && whole.text.size() + text.size() > limit) return finished(whole);
      }
      if (!document) {
        ++counts_.binary_files;
        continue;
      }
      ++counts_.files;
      if (is_blank(document->text)) {
        ++counts_.empty_documents;
        continue;
      }
      if (whole.text.empty()) whole.name = document->name;
      whole.file_begins.push_back(whole.text.size());
      whole.text += document->text;
    }
    file_ = 0;
    ++unit_;
    if (whole.text.empty()) return std::nullopt;
    return finished(whole);
  }

  static Document finished(Document& whole) {
    if (whole.file_begins.size() == 1) whole.file_begins.clear();
    return std::move(whole);
  }

  bool in_repository(const SourceFile& file) const {
    return options_.repositories && !file.folder.empty();
  }

  std::vector<SourceFile> files_;
  SourceOptions options_;
  std::vector<Unit> units_;
  size_t unit_ = 0, file_ = 0;  // next: file_ of unit_
  int64_t argument_ = 0;
  std::unique_ptr<DocumentSource> lines_;
  SourceCounts counts_;
};

}  // namespace

void SourceOptions::validate() const {
  require(max_document_bytes > 0, {.field = "max_document_bytes",
                                   .problem = "out of range",
                                   .found = max_document_bytes,
                                   .expected = "more than 0"});
  check_encoding(encoding);
}

std::vector<SourceFile> list_source_files(const std::vector<std::string>& paths) {
  require(!paths.empty(), {.place = "data",
                           .problem = "no path given",
                           .expected = "files, folders or patterns",
                           .advice = "name at least one"});
  std::vector<SourceFile> files;
  std::set<std::string> seen;
  for (size_t argument = 0; argument < paths.size(); ++argument) {
    for (const auto& [path, folder] : files_of(paths[argument])) {
      if (!seen.insert(fs::path(path).lexically_normal().native()).second) continue;
      struct stat info {};
      if (stat(path.c_str(), &info) != 0) {
        refuse_to_read(path, "cannot be read", errno);
      }
      files.push_back({path, info.st_size,
                       int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec,
                       static_cast<int64_t>(argument), folder});
    }
  }
  return files;
}

std::unique_ptr<DocumentSource> open_sources(std::vector<SourceFile> files, SourceOptions options) {
  return std::make_unique<FileListSource>(std::move(files), std::move(options));
}

}  // namespace hadal
