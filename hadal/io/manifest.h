// io/manifest.h: manifest.json of a folder, the size and XXH3-64 of each of its files.
#pragma once

#include <string>

#include "hadal/core/json.h"

namespace hadal {

// {"bytes": ..., "xxh3_64": "..."} of a file's content.
Json file_checksum(const std::string& path);

void write_manifest(const std::string& folder);
// Empty if every listed file is as it was written; otherwise what is wrong first. IoError if a file is
// there and cannot be read: that is no damage that another copy of it would show, too.
std::string find_damage(const std::string& folder);

}  // namespace hadal
