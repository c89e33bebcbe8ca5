#include "tests/faults/fault_disk.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <span>

#include "hadal/core/error.h"

namespace hadal::test {
namespace {

constexpr int kMaxFiles = 4096;

struct OpenFile {
  std::string path;
  int64_t handle = 0;  // 0: not ours
};

// Leaked on purpose: calls are made until the very end of the process.
struct State {
  std::mutex mutex;
  FaultPlan plan;
  int64_t n_calls = 0, n_faults = 0, n_handles = 0;
  std::string last_fault;
  std::vector<Change> changes;
  std::array<OpenFile, kMaxFiles> files;
};
State& state() {
  static State* const made = new State;
  return *made;
}
std::atomic<bool> armed = false, no_exchange = false;

const char* name_of(Call call) {
  static constexpr const char* kNames[] = {"open",  "create", "read",   "write",  "sync",
                                           "close", "map",    "seek",   "stat",   "list",
                                           "mkdir", "link",   "rename", "remove", "lock"};
  return kNames[static_cast<size_t>(call)];
}

// EINTR is among them where a call must be made again, ENOSPC where room is needed.
std::span<const int> errors_of(Call call) {
  static constexpr int kOpen[] = {EIO, EACCES, EMFILE, EINTR},
                       kCreate[] = {EIO, ENOSPC, EACCES, EINTR}, kRead[] = {EIO, EINTR},
                       kWrite[] = {EIO, ENOSPC, EINTR}, kSync[] = {EIO, EINTR, ENOSPC},
                       kOther[] = {EIO}, kName[] = {EIO, ENOSPC, EACCES}, kLook[] = {EIO, EACCES},
                       kLock[] = {EIO, EINTR, ENOLCK}, kMap[] = {ENOMEM, EIO};
  switch (call) {
    case Call::kOpen:
      return kOpen;
    case Call::kCreate:
      return kCreate;
    case Call::kRead:
      return kRead;
    case Call::kWrite:
      return kWrite;
    case Call::kSync:
      return kSync;
    case Call::kMap:
      return kMap;
    case Call::kStat:
      return kLook;
    case Call::kMakeFolder:
    case Call::kLink:
    case Call::kRename:
      return kName;
    case Call::kLock:
      return kLock;
    case Call::kClose:
    case Call::kSeek:
    case Call::kList:
    case Call::kRemove:
      return kOther;
  }
  return kOther;
}

}  // namespace

void FaultDisk::arm(FaultPlan plan) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.plan = std::move(plan);
  s.n_calls = s.n_faults = 0;
  s.last_fault.clear();
  s.changes.clear();
  armed = true;
}

void FaultDisk::disarm() {
  armed = false;
  State& s = state();
  const std::lock_guard lock(s.mutex);
  for (OpenFile& file : s.files) file = {};
}

void FaultDisk::without_exchange(bool wish) { no_exchange = wish; }
bool FaultDisk::has_exchange() { return !no_exchange; }

void FaultDisk::note(const std::string& text) {
  changed({.kind = Change::Kind::kNote, .path = "", .other = text, .data = ""});
}

int64_t FaultDisk::n_calls() { return state().n_calls; }
int64_t FaultDisk::n_faults() { return state().n_faults; }
std::vector<Change> FaultDisk::changes() { return state().changes; }
std::string FaultDisk::last_fault() { return state().last_fault; }

bool FaultDisk::watches(const std::string& path) {
  if (!armed) return false;
  const std::string& root = state().plan.root;
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
}

bool FaultDisk::watches(int fd) { return handle_of(fd) != 0; }

int64_t FaultDisk::handle_of(int fd) {
  if (!armed || fd < 0 || fd >= kMaxFiles) return 0;
  const std::lock_guard lock(state().mutex);
  return state().files[static_cast<size_t>(fd)].handle;
}

std::string FaultDisk::path_of(int fd) {
  if (!armed || fd < 0 || fd >= kMaxFiles) return "";
  const std::lock_guard lock(state().mutex);
  return state().files[static_cast<size_t>(fd)].path;
}

int FaultDisk::fault(Call call, const std::string& path) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  ++s.n_calls;
  const FaultPlan& plan = s.plan;
  if (plan.fail_at == 0 || s.n_calls < plan.fail_at || (!plan.stays && s.n_calls > plan.fail_at))
    return 0;
  const std::span<const int> errors = errors_of(call);
  int reason = errors[static_cast<size_t>(plan.flavour) % errors.size()];
  if (plan.stays && reason == EINTR) reason = EIO;  // a call is not interrupted for ever
  ++s.n_faults;
  s.last_fault = concat(name_of(call), " ", path, ": ", std::strerror(reason));
  return reason;
}

void FaultDisk::opened(int fd, const std::string& path) {
  if (fd < 0 || fd >= kMaxFiles) return;
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.files[static_cast<size_t>(fd)] = {path, ++s.n_handles};
}

void FaultDisk::closed(int fd) {
  if (fd < 0 || fd >= kMaxFiles) return;
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.files[static_cast<size_t>(fd)] = {};
}

void FaultDisk::changed(Change change) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (s.plan.record) s.changes.push_back(std::move(change));
}

}  // namespace hadal::test
