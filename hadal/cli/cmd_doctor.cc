// cli/cmd_doctor.cc: `hadal doctor`
#include "hadal/cli/commands.h"
#include "hadal/measure/doctor.h"

namespace hadal::cli {
namespace {

struct DoctorOptions {};

void bind(Flags& flags, DoctorOptions&) {
  flags.example("hadal doctor", "is this machine fit, and what are its roofs?");
  flags.example("mpirun -n 2 hadal doctor", "does every rank start? (builds with MPI)");
}

int run(const DoctorOptions&, const CommonOptions& common, Output& out) {
  ThreadPool pool(common.threads);
  Json checks = Json::array();
  bool all_ok = true;
  for (const Check& check : examine_machine(pool)) {
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

}  // namespace

Command make_doctor_command() {
  return define_command<DoctorOptions>("doctor", "say what this machine has and what is missing",
                                       bind, run);
}

}  // namespace hadal::cli
