#include "hadal/corpus/source_json_lines.h"

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/json.h"
#include "hadal/core/utf8.h"
#include "hadal/corpus/converted_stream.h"
#include "hadal/corpus/source_file.h"

namespace hadal {
namespace {

class JsonLinesSource final : public DocumentSource {
 public:
  JsonLinesSource(const std::string& path, const SourceOptions& options, SourceRemarks& remarks)
      : path_(path),
        options_(options),
        remarks_(remarks),
        stream_(open_text_stream(path, options.encoding)),
        is_archive_(stream_->is_archive()),
        lines_(std::move(stream_), path, options.max_document_bytes) {
    counts_.files = 1;
  }

  std::optional<Document> next() override {
    std::string line;
    while (lines_.next(line)) {
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      const std::string name = concat(path_, ":", lines_.line_number());
      if (!valid_utf8(line)) {
        size_t at = 0;
        while (const int length = utf8_character_length(line, at))
          at += static_cast<size_t>(length);
        throw FormatError(Complaint{
            .place = {path_, ": line ", lines_.line_number()},
            .problem = "not UTF-8",
            .found = {in_quotes(std::string_view(line).substr(at, 1)), " at byte ", at + 1},
            .expected = "JSON, which is UTF-8",
            .advice = "convert the file, or name its encoding with {encoding}"});
      }
      const Json record = parse_json(line, concat(path_, ": line ", lines_.line_number()));
      const Json* text = record.find(options_.text_field);
      if (!text || !text->is_string()) {
        throw FormatError(
            Complaint{.place = {path_, ": line ", lines_.line_number()},
                      .problem = "no text in it",
                      .found = text ? text->type_name() : record.type_name(),
                      .expected = {"an object with the string \"", options_.text_field, "\""},
                      .advice = "name the right field with {text_field}"});
      }
      if (!is_blank(text->as_string())) return Document{name, text->as_string()};
      ++counts_.empty_documents;
    }
    remark_archive(path_, is_archive_, lines_.line_number() == 0, remarks_);
    return std::nullopt;
  }

  const SourceCounts& counts() const override { return counts_; }

 private:
  std::string path_;
  SourceOptions options_;
  SourceRemarks& remarks_;
  std::unique_ptr<ByteStream> stream_;  // until `lines_` has it
  bool is_archive_;
  LineReader lines_;
  SourceCounts counts_;
};

}  // namespace

std::unique_ptr<DocumentSource> open_json_lines(const std::string& path,
                                                const SourceOptions& options,
                                                SourceRemarks& remarks) {
  return std::make_unique<JsonLinesSource>(path, options, remarks);
}

}  // namespace hadal
