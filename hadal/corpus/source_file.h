// corpus/source_file.h: one file as one document. The name says how the text is taken out of it,
// after .gz and .zst are dropped: .html and .htm (html_text.h), .1 to .9 that look like roff
// (man_text.h), .pod (pod_text.h); everything else is text as it stands.
#pragma once

#include "hadal/corpus/document_source.h"

namespace hadal {

// None for a binary file: a NUL byte among its first bytes, or the mark of a format that is no text
// (PDF, NumPy, Parquet, UTF-16 unless that is the encoding named).
std::optional<Document> read_document_file(const std::string& path, const SourceOptions& options,
                                           SourceRemarks& remarks);

bool is_blank(std::string_view text);  // nothing but white space

// Remarks a .gz or .zst that is none, or that holds nothing.
void remark_archive(const std::string& path, bool is_archive, bool empty, SourceRemarks& remarks);

// Lower case, without .gz or .zst: "pages/A.HTML.gz" -> "html"; "" if there is none.
std::string text_extension(const std::string& path);

}  // namespace hadal
