#include "hadal/corpus/source_json_lines.h"

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/core/utf8.h"
#include "hadal/corpus/byte_stream.h"

namespace hadal {
namespace {

class JsonLinesSource final : public DocumentSource {
 public:
  JsonLinesSource(const std::string& path, const SourceOptions& options)
      : path_(path),
        options_(options),
        lines_(open_byte_stream(path), path, options.max_document_bytes) {
    counts_.files = 1;
  }

  std::optional<Document> next() override {
    std::string line;
    while (lines_.next(line)) {
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      const std::string name = concat(path_, ":", lines_.line_number());
      const Json record =
          parse_json(repair_utf8(std::move(line)), concat(path_, ": line ", lines_.line_number()));
      const Json* text = record.find(options_.text_field);
      if (!text || !text->is_string()) {
        throw FormatError(
            Complaint{.place = {path_, ": line ", lines_.line_number()},
                      .problem = "no text in it",
                      .found = text ? text->type_name() : record.type_name(),
                      .expected = {"an object with the string \"", options_.text_field, "\""},
                      .advice = "name the right field with {text_field}"});
      }
      if (!text->as_string().empty()) return Document{name, text->as_string()};
      ++counts_.empty_documents;
    }
    return std::nullopt;
  }

  const SourceCounts& counts() const override { return counts_; }

 private:
  std::string path_;
  SourceOptions options_;
  LineReader lines_;
  SourceCounts counts_;
};

}  // namespace

std::unique_ptr<DocumentSource> open_json_lines(const std::string& path,
                                                const SourceOptions& options) {
  return std::make_unique<JsonLinesSource>(path, options);
}

}  // namespace hadal
