// corpus/document_source.h: where documents come from. A document is one file, or one line of a
// JSON lines file; its text is valid UTF-8 without markup.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hadal/corpus/source_remarks.h"

namespace hadal {

struct Document {
  std::string name;  // path, or path:line for JSON lines
  std::string text;
  int64_t argument = 0;  // SourceFile::argument
  std::vector<size_t> file_begins =
      {};  // in `text`, of a document of several files; the first is 0
};

struct SourceOptions {
  std::string text_field = "text";  // of a JSON lines record
  int64_t max_document_bytes = int64_t{64} << 20;
  std::string encoding;  // of every file (converted_stream.h); empty: UTF-8
  // Every folder that the paths name is a repository: its files that use each other are one document,
  // each behind what it uses (dependency_order.h) and a comment line with its path.
  bool repositories = false;

  void validate() const;  // ConfigError
};

struct SourceCounts {
  int64_t files = 0;            // read as text
  int64_t binary_files = 0;     // skipped
  int64_t empty_documents = 0;  // white space is no text
  SourceRemarks remarks;
};

class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  virtual std::optional<Document> next() = 0;  // never an empty or blank text
  virtual const SourceCounts& counts() const = 0;
};

struct SourceFile {
  std::string path;
  int64_t bytes = 0;
  int64_t modified_ns = 0;
  int64_t argument = 0;     // which of the paths names it
  std::string folder = {};  // that it was found in; "" where the path names the file itself
};

// Every file that `paths` name: files, folders (recursive; names that begin with a dot are left
// out), and patterns with * ? [..]. Each argument's files in byte order, each file once.
// ConfigError for an argument that matches nothing.
std::vector<SourceFile> list_source_files(const std::vector<std::string>& paths);

// Documents of `files` in their order. What is no UTF-8 in them becomes U+FFFD and is remarked.
std::unique_ptr<DocumentSource> open_sources(std::vector<SourceFile> files, SourceOptions options);

}  // namespace hadal
