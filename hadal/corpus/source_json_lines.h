// corpus/source_json_lines.h: .jsonl and .ndjson, plain or compressed: one object per line, the
// text under one field.
#pragma once

#include "hadal/corpus/document_source.h"

namespace hadal {

// FormatError "PATH: line N: ..." for a line that is no object or lacks the field, or is no UTF-8: a
// writer of JSON knows its encoding. Blank lines pass.
std::unique_ptr<DocumentSource> open_json_lines(const std::string& path,
                                                const SourceOptions& options,
                                                SourceRemarks& remarks);

}  // namespace hadal
