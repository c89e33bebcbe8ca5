// tests/mpi/mpi_scenarios.cc: a program that mpi_test.sh starts as several processes.
//
//   mpirun -n N mpi_scenarios CASE        (kCases)
//
// `all` runs what threads run, and prints a line per scenario; `moves_by_itself` and `slow_link` must
// hold, too. Every other case must end the whole job, with an error that names a rank.
#include <csignal>
#include <cstdio>
#include <string_view>
#include <thread>
#include <vector>

#include "hadal/comm/collectives.h"
#include "hadal/comm/mpi_ranks.h"
#include "hadal/core/clock.h"
#include "tests/comm/scenarios.h"

namespace hadal::test {
namespace {

const MessageForm kFourColumns{DType::kF32, {-1, 4}};

void all(Communicator& comm, Arena& arena) {
  if (comm.n_ranks() < 2) throw Error("the scenarios of processes need several");
  for (const Scenario& scenario : scenarios()) {
    for (uint64_t seed = 1; seed <= 3; ++seed) scenario.run(comm, arena, seed);
    barrier(comm, arena);
    if (comm.rank() == 0) std::printf("%s\n", scenario.name);
  }
  if (comm.rank() == 0) std::printf("all scenarios hold, %d ranks\n", comm.n_ranks());
}

// A message of many pieces moves while its two ranks do not call the communicator.
void moves_by_itself(Communicator& comm, Arena& arena) {
  constexpr int64_t kRows = 2700001;  // 43 MB
  Receipt receipt = comm.receive(comm.rank() ^ 1, 0, kFourColumns, arena);
  Tensor rows = Tensor::empty(arena, DType::kF32, {kRows, 4});
  float value = 0.0F;
  for (float& element : rows.flat<float>()) element = value += 1.0F;  // up to 10.8 million: exact
  barrier(comm, arena);
  comm.send(comm.rank() ^ 1, 0, std::move(rows));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  if (!receipt.arrived()) throw Error("a message did not move while its ranks were computing");
  rows = receipt.wait();
  value = 0.0F;
  for (const float element : std::as_const(rows).flat<float>()) {
    if (element != (value += 1.0F)) throw Error("a message has changed on its way");
  }
  std::printf("rank %d: moved meanwhile\n", comm.rank());
}

void wrong_form(Communicator& comm, Arena& arena) {
  if (comm.rank() == 0) comm.send(1, 77, Tensor::zeros(arena, DType::kBF16, {2, 4}));
  if (comm.rank() == 1) comm.receive(0, 77, kFourColumns, arena).wait();
}

void silent(Communicator& comm, Arena& arena) {
  comm.at({.step = 12, .phase = "dispatch", .stage = 3, .micro_batch = 1});
  if (comm.rank() == 1) comm.receive(0, 5, kFourColumns, arena).wait();
  std::this_thread::sleep_for(std::chrono::seconds(20));  // the other gives up meanwhile
}

void unasked(Communicator& comm, Arena& arena) {
  if (comm.rank() == 0) comm.send(1, 5, Tensor::zeros(arena, DType::kF32, {100000}));
}

void throws(Communicator& comm, Arena& arena) {
  comm.at({.step = 3, .phase = "experts"});
  if (comm.rank() == 1) throw IoError("disk: full");
  comm.receive(1, 5, kFourColumns, arena).wait();
}

void fails(Communicator& comm, Arena& arena) {
  comm.at({.step = 3, .phase = "head"});
  if (comm.rank() == 1) {
    comm.fail("has seen a NaN");
    std::this_thread::sleep_for(std::chrono::seconds(20));  // the others end meanwhile
  }
  comm.receive(1, 5, kFourColumns, arena).wait();
}

void killed(Communicator& comm, Arena& arena) {
  barrier(comm, arena);
  if (comm.rank() == 1) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));  // the others wait by then
    std::raise(SIGKILL);
  }
  comm.receive(1, 5, kFourColumns, arena).wait();
}

constexpr SlowLink kSlow{.latency_seconds = 0.05, .bytes_per_second = 64e4};

// There and back: whoever loses its core meanwhile only makes it longer.
void slow_link(Communicator& comm, Arena& arena) {
  const double start = monotonic_seconds();
  if (comm.rank() == 0) comm.send(1, 5, Tensor::zeros(arena, DType::kF32, {4000, 4}));
  Tensor rows = comm.receive(1 - comm.rank(), 5, kFourColumns, arena).wait();
  if (comm.rank() == 1) return comm.send(0, 5, std::move(rows));
  const double seconds = monotonic_seconds() - start;  // 64 kB take 0.1 s and the latency, twice
  if (seconds < 0.3) throw Error(concat("the link was not slow: ", seconds, " s"));
  std::printf("held back\n");
}

struct Case {
  std::string_view name;
  double patience_seconds;
  void (*run)(Communicator&, Arena&);
  SlowLink link = {};
};
constexpr Case kCases[] = {
    {"all", 60, all},
    {"moves_by_itself", 60, moves_by_itself},
    {"wrong_form", 60, wrong_form},
    {"silent", 0.5, silent},
    {"unasked", 0.5, unasked},
    {"throws", 600, throws},
    {"fails", 600, fails},
    {"killed", 600, killed},
    {"slow_link", 60, slow_link, kSlow},
};

}  // namespace
}  // namespace hadal::test

int main(int argc, char** argv) {
  for (const auto& each : hadal::test::kCases) {
    if (argc != 2 || each.name != argv[1]) continue;
    hadal::Arena arena;
    hadal::run_mpi_rank(
        each.patience_seconds, [&](hadal::Communicator& comm) { each.run(comm, arena); },
        each.link);
    return 0;
  }
  std::fprintf(stderr, "mpi_scenarios: no such case\n");
  return 2;
}
