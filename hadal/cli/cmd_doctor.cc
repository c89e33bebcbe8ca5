// cli/cmd_doctor.cc: `hadal doctor`
#include <algorithm>
#include <iterator>

#include "hadal/cli/commands.h"
#include "hadal/comm/mpi_info.h"
#include "hadal/comm/mpi_ranks.h"
#include "hadal/measure/doctor.h"
#include "hadal/measure/rank_links.h"

namespace hadal::cli {
namespace {

struct DoctorOptions {};

void bind(Flags& flags, DoctorOptions&) {
  flags.example("hadal doctor", "is this machine fit, and what are its roofs?");
  flags.example("mpirun -n 2 hadal doctor",
                "do the ranks find each other, and how fast are their messages?");
}

int report(const std::vector<Check>& examined, Output& out) {
  Json checks = Json::array();
  bool all_ok = true;
  for (const Check& check : examined) {
    all_ok = all_ok && check.ok;
    Json entry;
    entry["name"] = check.name;
    entry["ok"] = check.ok;
    entry["found"] = check.found;
    checks.push_back(std::move(entry));
  }
  Json document;
  document["checks"] = std::move(checks);
  out.report(document);
  return all_ok ? 0 : 1;
}

int run(const DoctorOptions&, const CommonOptions& common, Output& out) {
  constexpr double kPatienceSeconds = 120;
  ThreadPool pool(common.threads);
  if (!launched_as().by_launcher || !ask_mpi().built_in) return report(examine_machine(pool), out);
  Arena arena;
  int exit_code = 0;
  run_mpi_rank(kPatienceSeconds, [&](Communicator& comm) {
    std::vector<Check> checks;
    if (comm.rank() == 0) checks = examine_machine(pool);
    std::ranges::move(examine_ranks(comm, pool.n_threads(), arena), std::back_inserter(checks));
    if (comm.rank() == 0) exit_code = report(checks, out);  // for all of them, once
  });
  return exit_code;
}

}  // namespace

Command make_doctor_command() {
  return define_command<DoctorOptions>("doctor", "say what this machine has and what is missing",
                                       bind, run);
}

}  // namespace hadal::cli
