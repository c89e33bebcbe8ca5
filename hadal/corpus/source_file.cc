#include "hadal/corpus/source_file.h"

#include <algorithm>
#include <cctype>

#include "hadal/core/utf8.h"
#include "hadal/corpus/byte_stream.h"
#include "hadal/corpus/html_text.h"
#include "hadal/corpus/man_text.h"
#include "hadal/corpus/pod_text.h"

namespace hadal {
namespace {

constexpr size_t kSniffedBytes = size_t{1} << 13;

bool looks_binary(std::string_view head) {
  return head.find('\0') != std::string_view::npos || head.substr(0, 5) == "%PDF-";
}

// "3", "3perl", "8": sections of the manual.
bool is_manual_section(const std::string& extension) {
  return !extension.empty() && extension[0] >= '1' && extension[0] <= '9' && extension.size() <= 6;
}

}  // namespace

std::string text_extension(const std::string& path) {
  std::string name = path.substr(path.find_last_of('/') + 1);
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  for (const std::string_view archive : {".gz", ".zst"}) {
    if (name.ends_with(archive)) name.resize(name.size() - archive.size());
  }
  const size_t dot = name.find_last_of('.');
  return dot == std::string::npos ? "" : name.substr(dot + 1);
}

std::optional<Document> read_document_file(const std::string& path, const SourceOptions& options) {
  const auto stream = open_byte_stream(path);
  // The first bytes alone decide, before a long binary file is read.
  std::string text(kSniffedBytes, '\0');
  size_t got = 0;
  while (got < text.size()) {
    const size_t more = stream->read(text.data() + got, text.size() - got);
    if (more == 0) break;
    got += more;
  }
  text.resize(got);
  if (looks_binary(text)) return std::nullopt;
  append_rest(*stream, path, options.max_document_bytes, text);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // byte order mark
  text = repair_utf8(std::move(text));
  const std::string extension = text_extension(path);
  if (extension == "html" || extension == "htm" || extension == "xhtml") {
    text = html_text(text);
  } else if (extension == "pod") {
    text = pod_text(text);
  } else if (is_manual_section(extension) && looks_like_manual(text)) {
    text = man_text(text);
  }
  return Document{path, std::move(text)};
}

}  // namespace hadal
