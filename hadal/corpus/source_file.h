// corpus/source_file.h: one file as one document. The name says how the text is taken out of it,
// after .gz and .zst are dropped: .html and .htm (html_text.h), .1 to .9 that look like roff
// (man_text.h), .pod (pod_text.h); everything else is text as it stands.
#pragma once

#include "hadal/corpus/document_source.h"

namespace hadal {

// Empty for a binary file: a NUL byte or a PDF mark among its first bytes.
std::optional<Document> read_document_file(const std::string& path, const SourceOptions& options);

// Lower case, without .gz or .zst: "pages/A.HTML.gz" -> "html"; "" if there is none.
std::string text_extension(const std::string& path);

}  // namespace hadal
