#include "hadal/corpus/source_file.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <utility>

#include "hadal/core/utf8.h"
#include "hadal/corpus/converted_stream.h"
#include "hadal/corpus/html_text.h"
#include "hadal/corpus/man_text.h"
#include "hadal/corpus/pod_text.h"
#include "hadal/corpus/white_space.h"

namespace hadal {
namespace {

constexpr size_t kSniffedBytes = size_t{1} << 13;

std::string read_head(ByteStream& stream) {
  std::string head(kSniffedBytes, '\0');
  size_t got = 0;
  while (got < head.size()) {
    const size_t more = stream.read(head.data() + got, head.size() - got);
    if (more == 0) break;
    got += more;
  }
  head.resize(got);
  return head;
}

// The format that a mark at the beginning names; empty if there is none.
std::string format_kind(std::string_view head) {
  constexpr std::pair<std::string_view, const char*> kMarks[] = {
      {"%PDF-", "PDF"}, {"\x93NUMPY", "NumPy"}, {"PAR1\x15", "Parquet"}};
  for (const auto& [mark, kind] : kMarks) {
    if (head.starts_with(mark)) return kind;
  }
  return "";
}

// What a file is if it is no text; empty for text.
std::string binary_kind(std::string_view head) {
  if (const std::string kind = format_kind(head); !kind.empty()) return kind;
  if (head.starts_with("\xFF\xFE") || head.starts_with("\xFE\xFF")) return "UTF-16";
  return head.find('\0') != std::string_view::npos ? "binary" : "";
}

constexpr std::string_view kArchives[] = {".gz", ".zst"};

std::string lower_case_name(const std::string& path) {
  std::string name = path.substr(path.find_last_of('/') + 1);
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return name;
}

// "3", "3perl", "8": sections of the manual.
bool is_manual_section(const std::string& extension) {
  return !extension.empty() && extension[0] >= '1' && extension[0] <= '9' && extension.size() <= 6;
}

}  // namespace

bool is_blank(std::string_view text) { return std::all_of(text.begin(), text.end(), is_space); }

void remark_archive(const std::string& path, bool is_archive, bool empty, SourceRemarks& remarks) {
  const std::string name = lower_case_name(path);
  const bool named_so = std::any_of(std::begin(kArchives), std::end(kArchives),
                                    [&](std::string_view end) { return name.ends_with(end); });
  if (empty && (named_so || is_archive)) {
    remarks.archive(path, "empty");
  } else if (named_so && !is_archive) {
    remarks.archive(path, "not compressed, read as it stands");
  }
}

std::string text_extension(const std::string& path) {
  std::string name = lower_case_name(path);
  for (const std::string_view archive : kArchives) {
    if (name.ends_with(archive)) name.resize(name.size() - archive.size());
  }
  const size_t dot = name.find_last_of('.');
  return dot == std::string::npos ? "" : name.substr(dot + 1);
}

std::optional<Document> read_document_file(const std::string& path, const SourceOptions& options,
                                           SourceRemarks& remarks) {
  const auto stream = open_text_stream(path, options.encoding);
  // The first bytes alone decide, before a long binary file is read: as they are stored for a format
  // that is no text, as they read for the rest (UTF-16 is text where it is the encoding named).
  std::string text = read_head(*stream);
  std::string kind =
      options.encoding.empty() ? "" : format_kind(read_head(*open_byte_stream(path)));
  if (kind.empty()) kind = binary_kind(text);
  if (!kind.empty()) {
    remarks.skipped(path, kind);
    return std::nullopt;
  }
  append_rest(*stream, path, options.max_document_bytes, text);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // byte order mark
  remark_archive(path, stream->is_archive(), text.empty(), remarks);
  if (!valid_utf8(text)) {
    remarks.not_utf8(path, text);
    text = repair_utf8(std::move(text));
  }
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
