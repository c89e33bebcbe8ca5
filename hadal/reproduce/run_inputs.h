// reproduce/run_inputs.h: the files that a run reads, so that another machine can tell whether it has the same.
//
// An entry stands for one path of run.toml, a file, a folder or a pattern:
//   {"path": "/home/me/texts", "last": "texts", "files": [{"name": "a.txt", "bytes": 12, "xxh3_64": "..."}, ...]}
// Names are those within the folder, or from the first part with a wildcard on; a file's is its last part.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "hadal/core/json.h"
#include "hadal/train/config.h"

namespace hadal {

// data.paths of all phases, each once, in the order of run.toml.
std::vector<std::string> text_paths(const TrainConfig& config);
// The same settings with each of those paths replaced.
void replace_text_paths(TrainConfig& config,
                        const std::function<std::string(const std::string& path)>& other);

// Reads every file that `path` names.
Json text_entry(const std::string& path);
// The same for the files that make a model's folder: configuration, weights, tokenizer.
Json model_entry(const std::string& path);
// Copies the files of an entry below `folder`, where path_of_copy() names them.
void copy_entry(const Json& entry, const std::string& folder);
std::string path_of_copy(const Json& entry, const std::string& folder);

// What `found` has otherwise than `recorded`, first: "texts/b.txt is not there, and 2 more"; "" if they
// agree in every name, size and hash.
std::string different_files(const Json& recorded, const Json& found);

}  // namespace hadal
