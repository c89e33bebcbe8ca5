#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <string>

#include "hadal/comm/mpi_ranks.h"

namespace hadal {
namespace {

// The environment without any launcher's variables, then with these; put back at the end.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& variables) {
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE",
                             "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}) {
      keep(name);
      unsetenv(name);
    }
    for (const auto& [name, value] : variables) {
      keep(name);
      setenv(name.c_str(), value.c_str(), 1);
    }
  }
  ~Environment() {
    for (const auto& [name, value] : before_) unsetenv(name.c_str());
    for (const auto& [name, value] : before_) {
      if (value) setenv(name.c_str(), value->c_str(), 1);
    }
  }

 private:
  void keep(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    before_.emplace(name, value ? std::optional<std::string>(value) : std::nullopt);
  }
  std::map<std::string, std::optional<std::string>> before_;
};

void expect_launched(const std::map<std::string, std::string>& variables, LaunchedAs expected) {
  const Environment environment(variables);
  const LaunchedAs launched = launched_as();
  EXPECT_EQ(launched.by_launcher, expected.by_launcher);
  EXPECT_EQ(launched.rank, expected.rank);
  EXPECT_EQ(launched.n_ranks, expected.n_ranks);
  EXPECT_EQ(launched.local_rank, expected.local_rank);
  EXPECT_EQ(launched.n_local_ranks, expected.n_local_ranks);
}

TEST(LaunchedAs, ByWhatLaunchersLeaveInTheEnvironment) {
  expect_launched({}, {});
  expect_launched({{"OMPI_COMM_WORLD_RANK", "5"},
                   {"OMPI_COMM_WORLD_SIZE", "8"},
                   {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                   {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}},
                  {true, 5, 8, 1, 4});
  expect_launched(
      {{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "2"}},
      {true, 1, 2, 1, 2});
  expect_launched({{"SLURM_PROCID", "3"},
                   {"SLURM_STEP_NUM_TASKS", "4"},
                   {"SLURM_LOCALID", "1"},
                   {"SLURM_STEP_TASKS_PER_NODE", "2(x2)"}},
                  {true, 3, 4, 1, 2});
}

TEST(LaunchedAs, AJobsScriptAndNonsenseAreNoLauncher) {
  expect_launched({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}, {});
  expect_launched({{"PMI_RANK", "x"}, {"PMI_SIZE", "2"}}, {});
  expect_launched({{"PMI_RANK", "2"}, {"PMI_SIZE", "2"}}, {});
}

}  // namespace
}  // namespace hadal
