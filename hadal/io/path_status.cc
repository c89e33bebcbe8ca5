#include "hadal/io/path_status.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "hadal/core/descriptor.h"
#include "hadal/core/error.h"

namespace hadal {
namespace {

mode_t mode_of(const std::string& path) {  // 0: nothing is there
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return status.st_mode;
  if (!means_absent(errno)) refuse_io(path, "cannot be looked at", errno);
  return 0;
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

}  // namespace

bool path_exists(const std::string& path) { return mode_of(path) != 0; }
bool is_folder(const std::string& path) { return S_ISDIR(mode_of(path)); }
bool is_regular_file(const std::string& path) { return S_ISREG(mode_of(path)); }

std::vector<std::string> entry_names(const std::string& folder) {
  const std::unique_ptr<DIR, CloseFolder> entries(::opendir(folder.c_str()));
  if (!entries) refuse_io(folder, "folder cannot be listed", errno);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(entries.get());
    if (!entry && errno != 0) refuse_io(folder, "folder cannot be listed", errno);
    if (!entry) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> files;
  for (const std::string& name : entry_names(folder)) {
    if (is_regular_file(folder + "/" + name)) files.push_back(folder + "/" + name);
  }
  return files;
}

void refuse_io(const std::string& path, const char* what, int reason) {
  const char* advice = "";
  if (reason == EIO) advice = "; try again, and check the disk if it stays so";
  if (reason == ENOSPC || reason == EDQUOT) advice = "; free some space or choose another disk";
  if (reason == EFBIG) advice = "; raise the file size limit (ulimit -f)";
  if (reason == EACCES || reason == EROFS) advice = "; choose a folder that you may write to";
  throw IoError(concat(path, ": ", what, " (", std::strerror(reason), ")", advice));
}

}  // namespace hadal
