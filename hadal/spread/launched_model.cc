#include "hadal/spread/launched_model.h"

#include <algorithm>
#include <numeric>

#include "hadal/comm/mpi_ranks.h"
#include "hadal/comm/thread_ranks.h"
#include "hadal/core/error.h"
#include "hadal/core/host_name.h"
#include "hadal/core/log.h"
#include "hadal/model/checkpoint_reader.h"
#include "hadal/parallel/expert_dispatcher.h"
#include "hadal/parallel/node_map.h"
#include "hadal/spread/expert_share.h"

namespace hadal {
namespace {

constexpr double kPatienceSeconds = 600;

// The ranks that this one shares experts with.
std::vector<int> unit_of(const LaunchedModel& model, int n_ranks, int rank) {
  const bool reads = rank < model.prefill_ranks;
  std::vector<int> unit(
      static_cast<size_t>(reads ? model.prefill_ranks : n_ranks - model.prefill_ranks));
  std::iota(unit.begin(), unit.end(), reads ? 0 : model.prefill_ranks);
  return unit;
}

// By one rank alone, so that it is said once.
void check(const LaunchedModel& model, int n_ranks) {
  require(model.prefill_ranks >= 0 && model.prefill_ranks < n_ranks,
          {.field = "prefill_ranks",
           .problem = "some ranks must be left to write",
           .found = {model.prefill_ranks, " of ", n_ranks},
           .expected = {"at most ", n_ranks - 1},
           .advice = n_ranks == 1 ? "start several processes, as by mpirun -n 2" : ""});
  if (n_ranks == 1) return;
  require(model.device == Device::kCpu, {.field = "device",
                                         .problem = "ranks compute on the host",
                                         .found = "another device",
                                         .expected = "cpu"});
  const SilentThread silent;  // loading tells the notes
  const ModelConfig config = open_checkpoint(model.path, model.with_mtp).config;
  for (const int rank : {0, n_ranks - 1}) {
    const auto n_unit = static_cast<int>(unit_of(model, n_ranks, rank).size());
    share_of_experts(config, n_unit, 0);
    require(model.redundant_experts >= 0 && model.redundant_experts % n_unit == 0,
            {.field = "redundant_experts",
             .problem = "every rank has equally many",
             .found = {model.redundant_experts, " on ", n_unit, " ranks"},
             .expected = {"a multiple of ", n_unit}});
  }
}

// What messages may need until the ranks have ended. Experts that have moved lie in another rank's arena, so
// all models go before all arenas.
struct RanksMemory {
  explicit RanksMemory(int n_ranks)
      : arenas(static_cast<size_t>(n_ranks)), texts(static_cast<size_t>(n_ranks)) {}
  std::vector<Arena> arenas;
  std::vector<std::optional<TextModel>> texts;
};
struct RankMemory {
  Arena& arena;
  std::optional<TextModel>& text;
};

void run_one_of_several(const LaunchedModel& model, int n_threads, Communicator& world,
                        const RankMemory& memory, const std::function<void(SpreadRank&)>& body) {
  std::optional<SilentThread> silent;
  if (world.rank() > 0) silent.emplace();
  const std::vector<int> ranks = unit_of(model, world.n_ranks(), world.rank());
  const std::unique_ptr<Communicator> unit = world.group(ranks);
  ExpertExchange how;
  how.node_of = nodes_by_name(*unit, host_name(), memory.arena);
  TextModel& text =
      memory.text.emplace(model.path, n_threads, model.device, model.with_mtp,
                          share_of_experts(load_config(model.path), unit->n_ranks(), unit->rank()));
  ExpertDispatcher dispatcher(*unit, how);
  RankTurns between(*unit, dispatcher, text.model);
  PassTurns& turns = ranks.size() > 1 ? static_cast<PassTurns&>(between) : local_turns();
  turns.take_part(text.ctx);  // when all have loaded theirs
  std::optional<PlacementMover> mover;
  if (model.redundant_experts > 0 && ranks.size() > 1) {
    const int64_t n_experts = text.model.config.router.n_routed_experts;
    mover.emplace(*unit, text.model,
                  PlacementOptions{.n_slots = n_experts + model.redundant_experts,
                                   .every_passes = model.passes_between_looks},
                  memory.arena);
    between.do_between(&*mover);
  }
  SpreadRank rank{world, text, turns, model.prefill_ranks, mover ? &*mover : nullptr};
  body(rank);
  turns.leave(text.ctx);
}

}  // namespace

int launched_ranks() { return launched_as().n_ranks; }
bool is_beside_first() { return launched_as().rank > 0; }

void run_launched_model(const LaunchedModel& model, const std::function<void(SpreadRank&)>& body) {
  const LaunchedAs launched = launched_as();
  const bool by_launcher = launched.n_ranks > 1;
  const int n_ranks = by_launcher ? launched.n_ranks : model.thread_ranks;
  if (!is_beside_first()) check(model, n_ranks);
  RanksMemory all(by_launcher ? 1 : n_ranks);
  const auto memory = [&](int place) {
    return RankMemory{all.arenas[static_cast<size_t>(place)],
                      all.texts[static_cast<size_t>(place)]};
  };
  if (n_ranks > 1 && !by_launcher) {
    run_thread_ranks({n_ranks, kPatienceSeconds, {}}, [&](Communicator& world) {
      run_one_of_several(model, std::max(1, model.n_threads / n_ranks), world, memory(world.rank()),
                         body);
    });
    return;
  }
  run_mpi_rank(kPatienceSeconds, [&](Communicator& world) {
    if (world.n_ranks() > 1) {
      const int n_threads = threads_of_process(launched, model.n_threads);
      return run_one_of_several(model, n_threads, world, memory(0), body);
    }
    TextModel& text =
        memory(0).text.emplace(model.path, model.n_threads, model.device, model.with_mtp);
    SpreadRank rank{world, text, local_turns()};
    body(rank);
  });
}

}  // namespace hadal
