#include "hadal/train/spread_run.h"

#include <algorithm>
#include <exception>
#include <vector>

#include "hadal/comm/mpi_ranks.h"
#include "hadal/comm/thread_ranks.h"
#include "hadal/core/log.h"
#include "hadal/train/parallel_settings.h"
#include "hadal/train/phases.h"
#include "hadal/train/team_trainer.h"

namespace hadal {
namespace {

// What the leading rank has to show.
struct Outcome {
  std::optional<Json> summary;
  std::exception_ptr error;  // after which all ranks ended as they should
};

void lead(Context& ctx, Communicator& world, const TrainConfig& config, bool resume,
          const TrainStop& stop, Outcome& outcome) {
  TeamTrainer trainer(ctx, world);
  try {
    outcome.summary = pretrain(ctx, trainer, config, resume, stop);
  } catch (const Error&) {
    if (!trainer.settled()) throw;  // the others wait in the middle of something
    outcome.error = std::current_exception();
  }
  trainer.end();
}

}  // namespace

SpreadRun plan_spread(const TrainConfig& config, int threads) {
  config.validate();
  const LaunchedAs launched = launched_as();
  SpreadRun spread;
  spread.by_launcher = launched.n_ranks > 1;
  const int started = spread.by_launcher ? launched.n_ranks : 0;
  for (int64_t i = 0; i < n_phases(config); ++i) {
    const TrainConfig phase = config_of_phase(config, i);
    spread.n_ranks =
        static_cast<int>(parallel_layout(phase, model_shape(phase, 0), started).n_ranks());
  }
  spread.threads_of_rank = spread.by_launcher ? threads_of_process(launched, threads)
                                              : std::max(1, threads / spread.n_ranks);
  return spread;
}

bool is_led() { return launched_as().rank > 0; }

void follow_leader(int threads, const TrainConfig::Parallel& settings) {
  Arena arena;
  const auto body = [&](Communicator& world) {
    ThreadPool pool(threads_of_process(launched_as(), threads));
    const SilentThread silent;
    Context ctx{pool, arena};
    follow(ctx, world);
  };
  run_mpi_rank(settings.wait_seconds, body, slow_link(settings));
}

Json pretrain_spread(const SpreadRun& spread, const TrainConfig& config, bool resume,
                     const TrainStop& stop) {
  // A message may die on another rank than it was made on.
  std::vector<std::unique_ptr<Arena>> arenas;
  for (int i = 0; i < spread.n_ranks; ++i) arenas.push_back(std::make_unique<Arena>());
  Outcome outcome;
  const auto body = [&](Communicator& world) {
    ThreadPool pool(spread.threads_of_rank);
    Context ctx{pool, *arenas[static_cast<size_t>(world.rank())]};
    if (world.rank() == 0) return lead(ctx, world, config, resume, stop, outcome);
    const SilentThread silent;
    follow(ctx, world);
  };
  if (spread.by_launcher) {
    run_mpi_rank(config.parallel.wait_seconds, body, slow_link(config.parallel));
  } else {
    run_thread_ranks({spread.n_ranks, config.parallel.wait_seconds, slow_link(config.parallel)},
                     body);
  }
  if (outcome.error) std::rethrow_exception(outcome.error);
  return std::move(*outcome.summary);
}

}  // namespace hadal
