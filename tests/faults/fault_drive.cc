#include "tests/faults/fault_drive.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <set>

#include "hadal/core/error.h"
#include "hadal/core/log.h"

namespace hadal::test {
namespace {

// What a child tells its parent.
struct Told {
  char line[2000], fault[500];
  bool failed;  // an Error
  bool other;   // another exception
  int64_t n_calls, n_faults;
};

struct Try {
  bool succeeded = false;
  std::string line;  // of the Error, or what else happened
  bool is_error = false;
  std::string fault;
  int64_t n_calls = 0, n_faults = 0;
};

void copy_text(char* to, size_t size, const std::string& text) {
  std::snprintf(to, size, "%s", text.c_str());
}

Try try_once(const std::function<void()>& run, const FaultPlan& plan, bool with_plan) {
  auto* const told = static_cast<Told*>(
      mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const pid_t child = fork();
  if (child == 0) {
    if (!std::freopen("/dev/null", "w", stderr)) _exit(3);
    if (with_plan) FaultDisk::arm(plan);
    try {
      run();
    } catch (const Error& error) {
      told->failed = true;
      copy_text(told->line, sizeof told->line, error.what());
    } catch (const std::exception& error) {
      told->failed = told->other = true;
      copy_text(told->line, sizeof told->line, error.what());
    }
    told->n_calls = FaultDisk::n_calls();
    told->n_faults = FaultDisk::n_faults();
    copy_text(told->fault, sizeof told->fault, FaultDisk::last_fault());
    _exit(0);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  Try result;
  result.line = told->line;
  result.is_error = told->failed && !told->other;
  result.fault = told->fault;
  result.n_calls = told->n_calls;
  result.n_faults = told->n_faults;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    result.line =
        WIFSIGNALED(status) ? concat("killed by signal ", WTERMSIG(status)) : "ended early";
  } else {
    result.succeeded = !told->failed;
  }
  munmap(told, sizeof(Told));
  return result;
}

// Temporary names say which process made them: after a power cut it is gone.
void bury(std::string& path) {
  const std::string living = concat("-", ::getpid());
  for (size_t at = 0; (at = path.find(living, at)) != std::string::npos; ++at) {
    path.replace(at, living.size(), "-2000000000");
  }
}

std::vector<Change> changes_of(const Operation& operation) {
  FaultDisk::arm({.root = operation.root, .record = true});
  operation.run();
  std::vector<Change> changes = FaultDisk::changes();
  FaultDisk::disarm();
  for (Change& change : changes) {
    bury(change.path);
    bury(change.other);
  }
  return changes;
}

bool names_path_below(const std::string& line, const std::string& root) {
  return line.find(root) != std::string::npos && line.find('\n') == std::string::npos;
}

}  // namespace

void expect_faults(int64_t n, int64_t least) {
  ::testing::Test::RecordProperty("faults", std::to_string(n));
  std::printf("[  FAULTS  ] %lld\n", static_cast<long long>(n));
  EXPECT_GE(n, least);
}

bool drive_all() {
  const char* wish = std::getenv("HADAL_FAULTS");
  return wish && std::string(wish) == "all";
}

std::vector<std::string> temporaries_in(const std::string& root) {
  std::vector<std::string> found;
  for (const auto& [name, item] : read_tree(root)) {
    if (name.find(".tmp-") != std::string::npos || name.find(".partial-") != std::string::npos ||
        name.ends_with(".new")) {
      found.push_back(name);
    }
  }
  return found;
}

std::string outcome_of(const std::function<void()>& run) {
  const Try once = try_once(run, {}, false);
  return once.succeeded ? "" : once.line.empty() ? "failed" : once.line;
}

DriveReport drive_failures(const Operation& operation, int flavour, bool stays, int64_t stride) {
  const std::string& root = operation.root;
  const DiskTree start = read_tree(root);
  const std::string undisturbed = outcome_of(operation.run);
  EXPECT_EQ(undisturbed, "") << operation.name;
  const DiskTree want = operation.result();
  DriveReport report;
  for (int64_t n = 1; !::testing::Test::HasFailure(); n += drive_all() ? 1 : stride) {
    write_tree(root, start);
    const Try hit = try_once(
        operation.run, {.root = root, .fail_at = n, .stays = stays, .flavour = flavour}, true);
    SCOPED_TRACE(concat(operation.name, ", call ", n, stays ? " and all after it" : "",
                        ", flavour ", flavour, ": ", hit.fault, "\n  said: ", hit.line));
    if (hit.n_faults == 0) {
      EXPECT_TRUE(hit.succeeded);
      report.n_calls = hit.n_calls;
      break;
    }
    ++report.n_faults;
    if (!hit.succeeded) {
      EXPECT_TRUE(hit.is_error) << "no hadal::Error";
      EXPECT_TRUE(names_path_below(hit.line, root)) << "names no path below " << root;
    }
    operation.check(hit.succeeded);
    EXPECT_EQ(outcome_of(operation.run), "") << "the same again, without a fault";
    EXPECT_EQ(difference(want, operation.result()), "") << "ended otherwise than undisturbed";
    EXPECT_EQ(temporaries_in(root), std::vector<std::string>{});
    operation.check(true);
  }
  write_tree(root, start);
  return report;
}

int64_t drive_power_cuts(const Operation& operation,
                         const std::function<void(const std::vector<std::string>& notes)>& check) {
  const std::string& root = operation.root;
  const DiskTree start = read_tree(root);
  const std::vector<Change> changes = changes_of(operation);
  PowerCut disk(root, start);
  std::vector<std::string> notes;
  std::set<std::pair<uint64_t, size_t>> met;
  int64_t n_checked = 0;
  for (size_t i = 0; i <= changes.size() && !::testing::Test::HasFailure(); ++i) {
    // Chances by the dozen where a state has many parts that may be lost; the met ones cost nothing.
    std::vector<std::pair<Kept, uint64_t>> ways = {
        {Kept::kAll, 0}, {Kept::kNone, 0}, {Kept::kEmptyFiles, 0}, {Kept::kZeroFiles, 0}};
    for (uint64_t seed = 1; seed <= (drive_all() ? 24U : 3U); ++seed)
      ways.emplace_back(Kept::kChance, i * 100 + seed);
    for (const auto& [kept, seed] : ways) {
      const DiskTree tree = disk.after(kept, seed);
      if (!met.emplace(tree_hash(tree), notes.size()).second) continue;
      write_tree(root, tree);
      SCOPED_TRACE(concat(operation.name, ": power cut after change ", i, " of ", changes.size(),
                          ", ", i == 0 ? "" : changes[i - 1].path, ", kept ",
                          static_cast<int>(kept), " seed ", seed));
      check(notes);
      ++n_checked;
      if (::testing::Test::HasFailure()) break;
    }
    if (i == changes.size()) break;
    disk.apply(changes[i]);
    if (changes[i].kind == Change::Kind::kNote) notes.push_back(changes[i].other);
  }
  write_tree(root, start);
  return n_checked;
}

std::vector<std::string> unsynced_after(const Operation& operation) {
  const DiskTree start = read_tree(operation.root);
  const std::vector<Change> changes = changes_of(operation);
  PowerCut disk(operation.root, start);
  for (const Change& change : changes) disk.apply(change);
  EXPECT_EQ(difference(read_tree(operation.root), disk.after(Kept::kAll)), "")
      << "the layer missed a change";
  return disk.unsynced();
}

}  // namespace hadal::test
