#include "hadal/spread/launched_model.h"

#include "hadal/comm/mpi_ranks.h"
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

// By the first rank alone, so that it is said once.
void check(const LaunchedModel& model, int n_ranks) {
  const SilentThread silent;  // loading tells the notes
  share_of_experts(open_checkpoint(model.path, model.with_mtp).config, n_ranks, 0);
  require(model.device == Device::kCpu, {.field = "device",
                                         .problem = "ranks compute on the host",
                                         .found = "another device",
                                         .expected = "cpu"});
}

// What messages may need until MPI ends.
struct RankMemory {
  Arena arena;
  std::optional<TextModel> text;
};

void run_one_of_several(const LaunchedModel& model, Communicator& world, RankMemory& memory,
                        const std::function<void(SpreadRank&)>& body) {
  std::optional<SilentThread> silent;
  if (world.rank() > 0) silent.emplace();
  ExpertExchange how;
  how.node_of = nodes_by_name(world, host_name(), memory.arena);
  TextModel& text = memory.text.emplace(
      model.path, threads_of_process(launched_as(), model.n_threads), model.device, model.with_mtp,
      share_of_experts(load_config(model.path), world.n_ranks(), world.rank()));
  ExpertDispatcher dispatcher(world, how);
  RankTurns turns(world, dispatcher, text.model);
  turns.take_part(text.ctx);  // when all have loaded theirs
  SpreadRank rank{world, text, turns};
  body(rank);
  turns.leave(text.ctx);
}

}  // namespace

int launched_ranks() { return launched_as().n_ranks; }
bool is_beside_first() { return launched_as().rank > 0; }

void run_launched_model(const LaunchedModel& model, const std::function<void(SpreadRank&)>& body) {
  RankMemory memory;
  const int n_ranks = launched_ranks();
  if (n_ranks > 1 && !is_beside_first()) check(model, n_ranks);
  run_mpi_rank(kPatienceSeconds, [&](Communicator& world) {
    if (world.n_ranks() > 1) return run_one_of_several(model, world, memory, body);
    TextModel& text =
        memory.text.emplace(model.path, model.n_threads, model.device, model.with_mtp);
    SpreadRank rank{world, text, local_turns()};
    body(rank);
  });
}

}  // namespace hadal
