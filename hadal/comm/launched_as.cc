#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <thread>

#include "hadal/comm/mpi_ranks.h"
#include "hadal/core/thread_pool.h"

namespace hadal {
namespace {

std::optional<int> number_of(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  const std::string_view digits = text;
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

struct Launcher {
  const char *rank, *n_ranks, *local_rank, *n_local_ranks;
};
// mpirun inside of a Slurm job has its own, so it comes first. Slurm sets SLURM_STEP_NUM_TASKS for what
// srun starts, and not for a job's script itself, which is no rank.
constexpr Launcher kLaunchers[] = {
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"},
};

}  // namespace

LaunchedAs launched_as() {
  for (const Launcher& launcher : kLaunchers) {
    const auto rank = number_of(launcher.rank), n_ranks = number_of(launcher.n_ranks);
    if (!rank || !n_ranks || *rank < 0 || *n_ranks <= *rank) continue;
    LaunchedAs launched{true, *rank, *n_ranks, 0, 1};
    launched.local_rank = number_of(launcher.local_rank).value_or(0);
    // "2(x3)": two on each of three hosts; then what this host has is not said in one number.
    launched.n_local_ranks = number_of(launcher.n_local_ranks).value_or(launched.local_rank + 1);
    return launched;
  }
  return {};
}

int threads_of_process(const LaunchedAs& launched, int threads) {
  const bool bound = available_cores() < static_cast<int>(std::thread::hardware_concurrency());
  return bound ? threads : std::max(1, threads / launched.n_local_ranks);
}

}  // namespace hadal
