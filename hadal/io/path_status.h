// io/path_status.h: what is there. Only what the system knows to be absent is a no: where it cannot
// look (a failing disk, a folder one may not enter), an IoError names the path, so that nothing is
// begun afresh over files that are there.
#pragma once

#include <string>
#include <vector>

namespace hadal {

bool path_exists(const std::string& path);  // links are followed, here and below
bool is_folder(const std::string& path);
bool is_regular_file(const std::string& path);
std::vector<std::string> entry_names(const std::string& folder);  // sorted
std::vector<std::string> files_in(const std::string& folder);  // sorted paths of its regular files

// "PATH: what (reason); advice"
[[noreturn]] void refuse_io(const std::string& path, const char* what, int reason);

}  // namespace hadal
