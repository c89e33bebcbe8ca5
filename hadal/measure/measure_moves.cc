#include "hadal/measure/measure_moves.h"

#include <time.h>

#include <algorithm>
#include <memory>

#include "hadal/comm/thread_ranks.h"
#include "hadal/core/median.h"
#include "hadal/infer/engine.h"
#include "hadal/measure/random_operand.h"
#include "hadal/spread/expert_share.h"
#include "hadal/spread/placement_mover.h"
#include "hadal/spread/rank_turns.h"

namespace hadal {
namespace {

constexpr int64_t kPrompt = 16;

// A step in which all of a rank's sequences wrote.
struct Step {
  double seconds = 0.0;
  double processor_seconds = 0.0;  // of this rank's one thread; it sleeps while it waits for others
  bool moving = false;             // experts were on their way
  int64_t n_moved = 0;             // layers that had been moved by then
};

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Served {
  std::vector<std::vector<Step>> steps;      // of each rank
  std::vector<std::vector<int32_t>> tokens;  // of all requests
  PlacementMover::Figures figures;
};

void skew_routers(DeepseekV3& model, double skew) {
  const auto lean = [&](DecoderLayer& layer) {
    if (layer.moe() == nullptr) return;
    Tensor& bias = layer.moe()->route_bias.master;
    std::vector<float> values(static_cast<size_t>(bias.size()));
    for (size_t e = 0; e < values.size(); ++e) {
      values[e] = static_cast<float>(
          skew * (1.0 - static_cast<double>(e) / static_cast<double>(values.size())));
    }
    bias.read_from(values.data());
  };
  for (DecoderLayer& layer : model.layers) lean(layer);
  for (MtpBlock& module : model.mtp) lean(module.layer);
}

// One rank of a run; serves its requests to the end.
class ServingRank {
 public:
  ServingRank(const MeasureMovesOptions& o, Communicator& comm, Arena& arena, bool moves)
      : o_(o), comm_(comm), arena_(arena) {
    model_ = make_model(o.model, arena, share_of_experts(o.model, comm.n_ranks(), comm.rank()));
    initialise_weights(model_, arena, o.seed, 0.02F);
    skew_routers(model_, o.skew);
    model_.ensure_rope(arena, context());
    dispatcher_.emplace(comm, ExpertExchange{.copies = o.copies});
    turns_.emplace(comm, *dispatcher_, model_);
    // At the whole of a load nothing is worth moving; looks are the same.
    mover_.emplace(
        comm, model_,
        PlacementOptions{
            .n_slots = o.n_slots, .every_passes = o.every_passes, .worth = moves ? 0.05 : 1.0},
        arena);
    turns_->do_between(&*mover_);
  }

  Served serve() {
    const int64_t n = o_.batch;
    Engine engine(ctx_, model_,
                  {.context = context(),
                   .capacity = n * (context() + 2 * kPageRows),
                   .max_running = n,
                   .max_waiting = n,
                   .with_mtp = false},
                  *turns_);
    Served served;
    std::map<RequestId, size_t> place_of;
    for (int64_t i = 0; i < n; ++i) {
      Request request;
      request.prompt = random_tokens(kPrompt, o_.model.vocab_size,
                                     o_.seed + static_cast<uint64_t>(comm_.rank() * n + i));
      request.options.max_tokens = o_.decode_tokens;
      place_of[engine.add(std::move(request)).value()] = static_cast<size_t>(i);
    }
    served.tokens.resize(static_cast<size_t>(n));
    std::vector<Step>& steps = served.steps.emplace_back();
    double last = monotonic_seconds(), processor = processor_seconds();
    while (!engine.idle()) {
      const bool moving = mover_->moving();
      int64_t n_wrote = 0;
      for (const EngineEvent& event : engine.step()) {
        std::vector<int32_t>& tokens = served.tokens[place_of.at(event.id)];
        tokens.insert(tokens.end(), event.tokens.begin(), event.tokens.end());
        n_wrote += event.tokens.empty() || event.prompt_read ? 0 : 1;
      }
      const double now = monotonic_seconds(), processor_now = processor_seconds();
      if (n_wrote == n) {
        steps.push_back({now - last, processor_now - processor, moving || mover_->moving(),
                         mover_->figures().n_layers_moved});
      }
      last = now;
      processor = processor_now;
    }
    turns_->leave(ctx_);
    served.figures = mover_->figures();
    return served;
  }

 private:
  int64_t context() const { return kPrompt + o_.decode_tokens; }

  const MeasureMovesOptions& o_;
  Communicator& comm_;
  Arena& arena_;
  ThreadPool pool_{1};
  Context ctx_{pool_, arena_};
  DeepseekV3 model_;
  std::optional<ExpertDispatcher> dispatcher_;
  std::optional<RankTurns> turns_;
  std::optional<PlacementMover> mover_;
};

Served serve(const MeasureMovesOptions& o, bool moves) {
  std::vector<std::unique_ptr<Arena>> arenas;  // a message may die on another rank
  for (int64_t rank = 0; rank < o.n_ranks; ++rank) arenas.push_back(std::make_unique<Arena>());
  std::vector<Served> of_ranks(static_cast<size_t>(o.n_ranks));
  run_thread_ranks({.n_ranks = static_cast<int>(o.n_ranks)}, [&](Communicator& comm) {
    const auto me = static_cast<size_t>(comm.rank());
    of_ranks[me] = ServingRank(o, comm, *arenas[me], moves).serve();
  });
  Served all = std::move(of_ranks.front());
  for (size_t rank = 1; rank < of_ranks.size(); ++rank) {
    std::ranges::move(of_ranks[rank].tokens, std::back_inserter(all.tokens));
    std::ranges::move(of_ranks[rank].steps, std::back_inserter(all.steps));
  }
  return all;
}

std::vector<double> values_where(const std::vector<Step>& steps, double Step::*value,
                                 const auto& holds) {
  std::vector<double> values;
  for (const Step& step : steps) {
    if (holds(step)) values.push_back(step.*value);
  }
  return values;
}

// Of the rank that computes longest: what a pass takes where every rank has a processor of its own.
double busiest(const Served& served, const auto& holds) {
  double most = 0.0;
  for (const std::vector<Step>& steps : served.steps) {
    most = std::max(most, median_of(values_where(steps, &Step::processor_seconds, holds)));
  }
  return most;
}

}  // namespace

MeasureReport measure_moves(const MeasureMovesOptions& given) {
  MeasureMovesOptions o = given;
  const int64_t n_experts = o.model.router.n_routed_experts;
  if (o.n_slots == 0) o.n_slots = n_experts + o.n_ranks;
  require(o.model.router.method == TopkMethod::kNoauxTc,
          {.field = "preset",
           .problem = "routers without a bias, which skews the load here",
           .found = o.model.model_type,
           .expected = "a model of DeepSeek-V3's kind"});
  for (const auto& [field, value] :
       {std::pair{"batch", o.batch}, std::pair{"decode_tokens", o.decode_tokens},
        std::pair{"every", o.every_passes}, std::pair{"rounds", o.rounds},
        std::pair{"ranks", o.n_ranks}}) {
    require(value >= 1,
            {.field = field, .problem = "out of range", .found = value, .expected = "1 or more"});
  }
  std::vector<double> still_s, before_s, after_s, moving_s, ratio, busy_still, busy_after,
      busy_ratio;
  double longest_still = 0.0, longest_moving = 0.0;
  Served still, moved;
  for (int64_t round = 0; round < o.rounds; ++round) {
    still = serve(o, false);
    moved = serve(o, true);
    if (moved.tokens != still.tokens) {
      throw Error("bench experts: tokens differ once experts have moved");
    }
    const auto any = [](const Step&) { return true; };
    const auto before = [](const Step& s) { return s.n_moved == 0 && !s.moving; };
    const auto after = [&](const Step& s) {
      return s.n_moved == moved.figures.n_layers_moved && !s.moving;
    };
    const auto of_first = [](const Served& served, const auto& holds) {
      return values_where(served.steps.front(), &Step::seconds, holds);
    };
    still_s.push_back(median_of(of_first(still, any)));
    before_s.push_back(median_of(of_first(moved, before)));
    after_s.push_back(median_of(of_first(moved, after)));
    const std::vector<double> moving = of_first(moved, [](const Step& s) { return s.moving; });
    moving_s.push_back(median_of(moving));
    ratio.push_back(still_s.back() / after_s.back());
    busy_still.push_back(busiest(still, any));
    busy_after.push_back(busiest(moved, after));
    busy_ratio.push_back(busy_still.back() / busy_after.back());
    for (const double s : moving) longest_moving = std::max(longest_moving, s);
    for (const double s : of_first(still, any)) longest_still = std::max(longest_still, s);
  }
  const double rows = static_cast<double>(o.batch * o.n_ranks);
  MeasureReport report;
  report.results = {{"balancedness in order", still.figures.balancedness_last, ""},
                    {"balancedness after moves", moved.figures.balancedness_last, ""},
                    {"experts in order", rows / median_of(still_s), "tok/s"},
                    {"before experts moved", rows / median_of(before_s), "tok/s"},
                    {"after", rows / median_of(after_s), "tok/s"},
                    {"after / in order", median_of(ratio), "x"},
                    {"busiest rank's processor in order", median_of(busy_still) * 1e3, "ms/pass"},
                    {"after moves", median_of(busy_after) * 1e3, "ms/pass"},
                    {"in order / after", median_of(busy_ratio), "x"},
                    {"between two tokens in order", median_of(still_s) * 1e3, "ms"},
                    {"between two tokens while experts move", median_of(moving_s) * 1e3, "ms"},
                    {"the longest in order", longest_still * 1e3, "ms"},
                    {"the longest while experts move", longest_moving * 1e3, "ms"}};
  report.details["ranks"] = o.n_ranks;
  report.details["slots"] = o.n_slots;
  report.details["layers_moved"] = moved.figures.n_layers_moved;
  report.details["looks"] = moved.figures.n_looks;
  report.details["mb_sent_by_rank_0"] = static_cast<double>(moved.figures.bytes_sent) / 1e6;
  report.details["same_tokens"] = true;
  return report;
}

}  // namespace hadal
