// faults/fault_disk.h: a disk that fails on purpose. fault_calls.cc defines the system's file calls
// (open, write, fsync, rename, stat, readdir, ...) in this program, so that hadal's calls and those of
// std::filesystem pass through here on their way; no product code knows of it.
//
// Between arm() and disarm() every call on a path below `root`, or on a file opened there, is
// counted. It can be made to fail, and what it changes can be recorded for power_cut.h. All else, and
// every call while disarmed, goes to the system untouched. fsync never waits for the real disk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hadal::test {

enum class Call : uint8_t {
  kOpen,
  kCreate,
  kRead,
  kWrite,
  kSync,
  kClose,
  kMap,
  kSeek,
  kStat,
  kList,
  kMakeFolder,
  kLink,
  kRename,
  kRemove,
  kLock,
};

struct FaultPlan {
  std::string root;
  int64_t fail_at = 0;  // the how manieth call fails, from 1; 0: none
  bool stays = false;   // and every one after it, as on a disk that is gone or full
  int flavour = 0;      // which of the errors that fit the call
  bool record = false;
};

// What changed the disk, in order.
struct Change {
  enum class Kind : uint8_t {
    kCreate,
    kTruncate,
    kWrite,
    kSyncFile,
    kSyncFolder,
    kRename,
    kExchange,
    kRemove,
    kMakeFolder,
    kLink,
    kNote,  // note(): the caller was told that something is done
  };
  Kind kind;
  std::string path;  // as it was called then; a file that was renamed while it was open keeps it
  std::string
      other;  // of kRename, kExchange: where to; of kLink: what it points to; of kNote: the text
  int64_t handle = 0;  // of kCreate, kTruncate, kWrite, kSyncFile: one number for each open()
  int64_t offset = 0;
  std::string data;
};

class FaultDisk {
 public:
  static void arm(FaultPlan plan);
  static void disarm();
  static void without_exchange(bool wish);  // of two names, as on some network file systems
  static bool has_exchange();
  static void note(const std::string& text);  // recorded; no call
  static int64_t n_calls();
  static int64_t n_faults();
  static std::vector<Change> changes();
  static std::string last_fault();  // "write RUN/checkpoints/...: No space left on device"

  // For fault_calls.cc, each with errno in mind.
  static bool watches(const std::string& path);
  static bool watches(int fd);
  static std::string path_of(int fd);
  static int fault(Call call, const std::string& path);  // 0, or the errno to fail with
  static void opened(int fd, const std::string& path);
  static void closed(int fd);
  static void changed(Change change);
  static int64_t handle_of(int fd);
};

}  // namespace hadal::test
