// faults/fault_drive.h: runs an operation again and again, each time with another fault.
//
// To drive a new operation: an Operation whose `run` does all of it below one folder, from files alone
// (each try is a process of its own, as in life), and whose `check` says what must hold whatever failed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/faults/power_cut.h"

namespace hadal::test {

struct Operation {
  std::string name;
  std::string root;           // every fault is below it
  std::function<void()> run;  // throws hadal::Error
  // After a failed run: what was there before must be there still. After a run that succeeded: the
  // result must be right. Uses EXPECT_ and FAIL of GoogleTest.
  std::function<void(bool succeeded)> check;
  // What `root` must hold after a run that no fault reached; files that tell the time are left out.
  std::function<DiskTree()> result;
};

struct DriveReport {
  int64_t n_faults = 0;  // runs in which a call failed
  int64_t n_calls = 0;   // of the last run, which none reached
};

// Fails call 1, 2, 3, ... until a run ends without meeting its fault. A run that meets it must end with
// an Error that names a path below the root in one line, or with success and the right result; and the
// same run without a fault must then succeed, end like one that nothing disturbed, and leave no
// temporary behind. `stride` > 1 passes over calls (HADAL_FAULTS=all drives every one).
DriveReport drive_failures(const Operation& operation, int flavour, bool stays, int64_t stride = 1);

// Cuts the power after each change of one undisturbed run and calls check(tree, notes) for every state
// that the disk may have then, written below the root; `notes`: what FaultDisk::note had said. The
// states that were met already are passed over. Returns how many were checked.
int64_t drive_power_cuts(const Operation& operation,
                         const std::function<void(const std::vector<std::string>& notes)>& check);

// What a run of the operation leaves unsynced below the root, in a process of its own.
std::vector<std::string> unsynced_after(const Operation& operation);

// Runs in a process of its own: "" if it succeeded, its Error's line, or what else became of it.
std::string outcome_of(const std::function<void()>& run);

// Says how many faults a test injected; a test that injects fewer than it should has not run.
void expect_faults(int64_t n, int64_t least);

bool drive_all();  // HADAL_FAULTS=all
std::vector<std::string> temporaries_in(const std::string& root);

}  // namespace hadal::test
