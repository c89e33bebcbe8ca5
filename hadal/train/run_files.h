// train/run_files.h: the text files that a run began with, RUN/data_files.json: a run that cannot go
// on because its text is another one says which file it is.
#pragma once

#include <string>
#include <vector>

namespace hadal {

// `paths`: as DataConfig has them.
void write_run_files(const std::string& run_folder, const std::vector<std::string>& paths);

// "texts/b.txt is new, and 2 more" since then; "" if there is none, or no record.
std::string changed_run_files(const std::string& run_folder, const std::vector<std::string>& paths);

}  // namespace hadal
