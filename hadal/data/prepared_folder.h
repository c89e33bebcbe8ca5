// data/prepared_folder.h: how a prepared data folder is made and described. dataset.h is the door;
// docs/formats.md, "Prepared data", lists the files.
#pragma once

#include "hadal/data/dataset.h"

namespace hadal {

// Of the paths, sizes and times of change.
std::string source_files_hash(const std::vector<SourceFile>& files);

// The settings and input files that decide what a prepared folder holds, as JSON; its hash names
// the folder.
Json preparation_settings(const DataConfig& config, const std::vector<SourceFile>& files);

// Does all the work into `folder` (which exists and is empty); manifest.json is written last.
void build_prepared_folder(const std::string& folder, const DataConfig& config,
                           const std::vector<SourceFile>& files, const Json& settings,
                           ThreadPool& pool);

// manifest.json of a prepared folder; FormatError if it is none.
Json read_manifest(const std::string& folder);
DataCounts counts_of_manifest(const Json& manifest);
// The configuration that `manifest` was prepared with, as far as it decides the documents: paths
// and corpus options.
DataConfig config_of_manifest(const Json& manifest);

// Checks the folder's files against each other and opens them.
PreparedData open_prepared_folder(const std::string& folder, uint64_t seed);

}  // namespace hadal
