#include "tests/support/rank_world.h"

namespace hadal::test {
namespace {

PipelineSchedule schedule_of(const RankLayout& layout) {
  return make_schedule(layout.schedule, layout.n_stages, 2 * layout.n_stages);
}

std::string bytes_of(const Tensor& tensor) {
  return {static_cast<const char*>(tensor.raw()), static_cast<size_t>(tensor.bytes())};
}

}  // namespace

ModelConfig shared_config(bool tied) {
  ModelConfig config = odd_config();
  config.d_model = 64;
  config.n_layers = 5;
  config.vocab_size = 300;
  config.d_ff = 320;
  config.d_expert = 140;
  config.kv_lora_rank = 64;
  config.tie_word_embeddings = tied;
  return config;
}

RankWorld::RankWorld(const RankLayout& layout)
    : shape(shared_config(layout.tied)),
      schedule(schedule_of(layout)),
      cuts(even_cuts(shape, layout.n_stages)),
      config{.pipeline = schedule.n_ranks,
             .data = layout.data,
             .expert = layout.expert,
             .schedule = layout.schedule},
      holders(holders_of(config, model())) {}

HeldModel::HeldModel(const RankWorld& world, int rank, Arena& memory, Precision precision)
    : arena(memory),
      model(make_model(world.shape, memory, part_of_rank(world.config, world.model(), rank))) {
  initialise_weights(model, arena, 3, 0.2F);
  allocate_gradients(model, arena);
  set_precision(model, precision);
}

void run_ranks(const RankWorld& world, Precision precision,
               const std::function<void(Communicator&, HeldModel&)>& body) {
  std::vector<std::unique_ptr<Arena>> arenas;  // a message may die on another rank
  for (int64_t rank = 0; rank < world.config.n_ranks(); ++rank) {
    arenas.push_back(std::make_unique<Arena>());
  }
  run_thread_ranks({.n_ranks = static_cast<int>(world.config.n_ranks()), .patience_seconds = 60.0},
                   [&](Communicator& comm) {
                     HeldModel held(world, comm.rank(), *arenas[static_cast<size_t>(comm.rank())],
                                    precision);
                     body(comm, held);
                   });
}

std::string working_bytes_of(Param& param) {
  if (const auto* values = std::get_if<Tensor>(&param.working)) return bytes_of(*values);
  if (const auto* codes = std::get_if<Quantized>(&param.working)) {
    return bytes_of(codes->codes) + bytes_of(codes->scales);
  }
  return bytes_of(param.master);
}

}  // namespace hadal::test
