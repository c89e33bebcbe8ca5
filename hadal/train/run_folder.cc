#include "hadal/train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/io/atomic_write.h"

namespace hadal {
namespace fs = std::filesystem;

RunFolder::RunFolder(const std::string& path, bool resume) : path_(path) {
  require(!resume || fs::exists(path + "/run.toml"),
          {.place = path,
           .problem = "holds no run to resume",
           .found = "no run.toml",
           .advice = "leave out {resume} to start one there"});
  make_folders(path);
  const std::string lock_path = path + "/lock";
  lock_ = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0) {
    throw IoError(concat(lock_path, ": cannot be created (found ", std::strerror(errno), ")"));
  }
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    close(lock_);
    throw ConfigError({.place = path,
                       .problem = "another hadal process is training there",
                       .found = "a held lock",
                       .advice = "wait for it or choose another {out}"});
  }
  // Settings alone are no run: what failed before its first step may be started again.
  if (!resume && fs::exists(path + "/metrics.jsonl")) {
    close(lock_);
    throw ConfigError({.place = path,
                       .problem = "already holds a run",
                       .found = "metrics.jsonl",
                       .advice = "continue it with {resume}, or choose another {out}"});
  }
}

RunFolder::~RunFolder() { close(lock_); }

std::string checkpoint_name(int64_t step) {
  char name[40];
  std::snprintf(name, sizeof(name), "step-%08lld", static_cast<long long>(step));
  return name;
}

std::vector<int64_t> checkpoint_steps(const std::string& checkpoints) {
  std::vector<int64_t> steps;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(checkpoints, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.size() < 13 || name.size() > 23 || name.rfind("step-", 0) != 0) continue;
    if (name.find_first_not_of("0123456789", 5) != std::string::npos) continue;
    steps.push_back(std::stoll(name.substr(5)));
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

}  // namespace hadal
