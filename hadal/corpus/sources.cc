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

std::vector<std::string> files_of(const std::string& argument) {
  std::vector<std::string> roots;
  if (path_exists(argument)) {
    roots.push_back(argument);
  } else {
    roots = expand_pattern(argument);
  }
  std::vector<std::string> files;
  for (const std::string& root : roots) {
    if (is_folder(root)) {
      add_folder(root, files);
    } else {
      files.push_back(root);
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

// Hands out one file after another.
class FileListSource final : public DocumentSource {
 public:
  FileListSource(std::vector<SourceFile> files, SourceOptions options)
      : files_(std::move(files)), options_(std::move(options)) {
    options_.validate();
  }

  std::optional<Document> next() override {
    for (;;) {
      if (lines_) {
        if (auto document = lines_->next()) return document;
        counts_.empty_documents += lines_->counts().empty_documents;
        lines_.reset();
      }
      if (at_ == files_.size()) return std::nullopt;
      const std::string& path = files_[at_++].path;
      const std::string extension = text_extension(path);
      if (extension == "jsonl" || extension == "ndjson") {
        lines_ = open_json_lines(path, options_, counts_.remarks);
        ++counts_.files;
        continue;
      }
      auto document = read_document_file(path, options_, counts_.remarks);
      if (!document) {
        ++counts_.binary_files;
        continue;
      }
      ++counts_.files;
      if (!is_blank(document->text)) return document;
      ++counts_.empty_documents;
    }
  }

  const SourceCounts& counts() const override { return counts_; }

 private:
  std::vector<SourceFile> files_;
  SourceOptions options_;
  size_t at_ = 0;
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
  for (const std::string& argument : paths) {
    for (const std::string& path : files_of(argument)) {
      if (!seen.insert(fs::path(path).lexically_normal().native()).second) continue;
      struct stat info {};
      if (stat(path.c_str(), &info) != 0) {
        refuse_to_read(path, "cannot be read", errno);
      }
      files.push_back({path, info.st_size,
                       int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec});
    }
  }
  return files;
}

std::unique_ptr<DocumentSource> open_sources(std::vector<SourceFile> files, SourceOptions options) {
  return std::make_unique<FileListSource>(std::move(files), std::move(options));
}

}  // namespace hadal
