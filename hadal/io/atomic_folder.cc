#include "hadal/io/atomic_folder.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <string_view>

#include "hadal/core/error.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPartialMark = ".partial-", kFileMark = ".tmp-";

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

std::string partial_name(const std::string& path) { return concat(path, kPartialMark, ::getpid()); }

// Where an old folder waits that cannot be exchanged at once: it names no process, so that nobody takes
// it for abandoned.
std::string replaced_name(const std::string& path) {
  return concat(path, kPartialMark, "replaced");
}

void remove_tree(const std::string& path) {
  std::error_code ignored;  // what stays is in nobody's way, and goes with the next try
  fs::remove_all(path, ignored);
}

struct Temporary {
  std::string name;  // what it was to become
  int process = 0;   // that wrote it; 0: this is no temporary of ours
};

// "step-00000004.partial-123", "config.json.tmp-123-0"
Temporary read_temporary(const std::string& path) {
  for (const std::string_view mark : {kPartialMark, kFileMark}) {
    const size_t at = path.rfind(mark);
    if (at == std::string::npos) continue;
    const std::string rest = path.substr(at + mark.size());
    const size_t end = std::min(rest.size(), rest.find('-'));
    const std::string_view attempt = std::string_view(rest).substr(end);
    if ((mark == kFileMark) == attempt.empty() ||
        attempt.find_first_not_of("0123456789", 1) != attempt.npos) {
      continue;
    }
    Temporary found{path.substr(0, at)};
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + end, found.process);
    if (error == std::errc() && stop == rest.data() + end) return found;
  }
  return {};
}

}  // namespace

AtomicFolder::AtomicFolder(const std::string& path)
    : path_(without_slashes(path)), temporary_(partial_name(path_)) {
  const std::string parent = folder_of(path_);
  make_folders(parent);
  const std::string name = fs::path(path_).filename();
  remove_abandoned(parent, [&](const std::string& other) { return other == name; });
  remove_tree(temporary_);  // of an earlier try of this process
  if (::mkdir(temporary_.c_str(), 0777) != 0) {
    refuse_io(path_, "folder cannot be created", errno);
  }
}

AtomicFolder::~AtomicFolder() {
  if (!temporary_.empty()) remove_tree(temporary_);
}

void AtomicFolder::commit() {
  sync_folder(temporary_);
  if (::rename(temporary_.c_str(), path_.c_str()) == 0) {
    temporary_.clear();
    sync_folder(folder_of(path_));
    remove_tree(replaced_name(path_));  // what a failed exchange could not move back
  } else if (errno == ENOTEMPTY || errno == EEXIST) {
    exchange();
  } else {
    refuse_io(path_, "cannot be renamed into place", errno);
  }
}

void AtomicFolder::exchange() {
  std::string old = temporary_;
  if (::renameat2(AT_FDCWD, old.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) != 0) {
    if (errno != EINVAL && errno != ENOSYS) refuse_io(path_, "cannot be replaced", errno);
    // Without an exchange there is a moment with neither; the old folder waits under a name that
    // nobody cleans up.
    old = replaced_name(path_);
    remove_tree(old);
    if (::rename(path_.c_str(), old.c_str()) != 0) refuse_io(path_, "cannot be replaced", errno);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
      const int reason = errno;
      ::rename(old.c_str(), path_.c_str());
      refuse_io(path_, "cannot be replaced", reason);
    }
  }
  temporary_.clear();  // the old folder goes only when the new one's name is on the disk
  sync_folder(folder_of(path_));
  remove_tree(old);
}

void discard_folder(const std::string& path) {
  const std::string aside = partial_name(path);
  remove_tree(aside);
  if (::rename(path.c_str(), aside.c_str()) != 0) return;
  try {
    sync_folder(folder_of(path));  // or a power cut might bring back the name and not all the files
  } catch (const IoError&) {
    return;
  }
  remove_tree(aside);
}

void remove_abandoned(const std::string& folder,
                      FunctionRef<bool(const std::string& name)> is_ours) {
  try {
    for (const std::string& path : entry_names(folder)) {
      const auto [name, process] = read_temporary(path);
      if (process <= 0 || !is_ours(name)) continue;
      if (::kill(process, 0) != 0 && errno == ESRCH) remove_tree(folder + "/" + path);
    }
  } catch (const IoError&) {
    return;  // only space is lost
  }
}

}  // namespace hadal
