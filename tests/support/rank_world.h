// tests/support/rank_world.h: ranks as threads, each with a pool, an arena and its part of one model.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hadal/comm/thread_ranks.h"
#include "hadal/model/precision.h"
#include "hadal/parallel/sharded_optimizer.h"
#include "tests/support/random_model.h"

namespace hadal::test {

struct RankLayout {
  const char* name;
  ScheduleKind schedule;
  int32_t n_stages, data, expert;
  bool tied = false;
};

// Widths of several units, a dense layer and one with experts a stage or two, one MTP module.
ModelConfig shared_config(bool tied);

struct RankWorld {
  explicit RankWorld(const RankLayout& layout);
  CutModel model() const { return {shape, schedule, cuts}; }

  ModelConfig shape;
  PipelineSchedule schedule;
  std::vector<StageCut> cuts;
  ParallelConfig config;
  Holders holders;
};

struct HeldModel {
  HeldModel(const RankWorld& world, int rank, Arena& memory, Precision precision);
  std::vector<NamedParam> params() { return named_params(model); }

  ThreadPool pool{1};
  Arena& arena;
  Context ctx{pool, arena};
  DeepseekV3 model;
};

// body(communicator, this rank's model) on every rank. Values are those of seed 3.
void run_ranks(const RankWorld& world, Precision precision,
               const std::function<void(Communicator&, HeldModel&)>& body);

// What products read of a parameter, byte for byte.
std::string working_bytes_of(Param& param);

}  // namespace hadal::test
