#include "hadal/train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "hadal/core/error.h"
#include "hadal/io/atomic_folder.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

bool lock_file(int file) {
  int result = 0;
  do {
    result = flock(file, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

}  // namespace

RunFolder::RunFolder(const std::string& path, bool resume) : path_(path) {
  require(!resume || path_exists(path + "/run.toml"),
          {.place = path,
           .problem = "holds no run to resume",
           .found = "no run.toml",
           .advice = "leave out {resume} to start one there"});
  make_folders(path);
  const std::string lock_path = path + "/lock";
  lock_ = Descriptor::open(lock_path, O_RDWR | O_CREAT, 0644);
  if (!lock_) refuse_io(lock_path, "cannot be created", errno);
  if (!lock_file(lock_.get())) {
    if (errno != EWOULDBLOCK) refuse_io(lock_path, "cannot be locked", errno);
    throw ConfigError({.place = path,
                       .problem = "another hadal process is training there",
                       .found = "a held lock",
                       .advice = "wait for it or choose another {out}"});
  }
  // Settings alone are no run: what failed before its first step may be started again.
  if (!resume && path_exists(path + "/metrics.jsonl")) {
    throw ConfigError({.place = path,
                       .problem = "already holds a run",
                       .found = "metrics.jsonl",
                       .advice = "continue it with {resume}, or choose another {out}"});
  }
  remove_abandoned(path, [](const std::string& name) {
    return name == "run.toml" || name == "metrics.jsonl" || name == "data_files.json" ||
           name == "report.html" || name == "ema" || name == "stability.jsonl";
  });
}

std::string checkpoint_name(int64_t step) {
  char name[40];
  std::snprintf(name, sizeof(name), "step-%08lld", static_cast<long long>(step));
  return name;
}

std::vector<int64_t> checkpoint_steps(const std::string& checkpoints) {
  std::vector<int64_t> steps;
  if (!path_exists(checkpoints)) return steps;
  for (const std::string& name : entry_names(checkpoints)) {
    if (name.size() < 13 || name.size() > 23 || name.rfind("step-", 0) != 0) continue;
    if (name.find_first_not_of("0123456789", 5) != std::string::npos) continue;
    steps.push_back(std::stoll(name.substr(5)));
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

}  // namespace hadal
