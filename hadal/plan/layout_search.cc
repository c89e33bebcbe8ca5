#include "hadal/plan/layout_search.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/error.h"
#include "hadal/core/number_text.h"

namespace hadal {
namespace {

constexpr int64_t kMostStages = 512;
constexpr int64_t kMostSequences = 64;  // of a micro-batch
constexpr int64_t kMostPerRank = 8;     // stages, if interleaved

// "ep: the experts do not divide". Too few micro-batches are one kind, whatever the stages.
std::string kind_of(const Refusal& why, const Layout& layout, const LayoutFacts& facts) {
  if (why.field == "schedule") {
    const int64_t n = micro_batches(layout, facts);
    const bool odd = layout.schedule == ScheduleKind::kDualPipe && n % 2 != 0;  // judged first
    if (!odd && n < least_micro_batches(layout.schedule, layout.pp)) {
      return concat(why.field, ": too few to fill ",
                    schedule_names()[static_cast<size_t>(layout.schedule)]);
    }
  }
  return concat(why.field, ": ", why.problem);
}

class Search {
 public:
  Search(Worksheet& sheet, size_t n_best) : sheet_(sheet), n_best_(n_best) {
    found_ = layout_of(sheet);
    facts_ = layout_facts(sheet);
  }
  ~Search() { set_layout(sheet_, found_); }
  Search(const Search&) = delete;
  Search& operator=(const Search&) = delete;

  LayoutSearch run(const std::function<void(size_t)>& progress) {
    for (size_t schedule = 0; schedule < schedule_names().size(); ++schedule) {
      for (int64_t pp = 1; pp <= std::min(facts_.n_layers, kMostStages); ++pp) {
        Layout layout = found_;
        layout.schedule = static_cast<ScheduleKind>(schedule);
        layout.pp = pp;
        if (layout.schedule == ScheduleKind::kInterleaved) {
          try_stages_per_rank(layout);
        } else {
          try_expert_degrees(layout);
        }
      }
    }
    simulate_promising(progress);
    return std::move(result_);
  }

 private:
  // True if `layout` falls for `setting`, whatever the settings in `varies` are.
  bool rejects(const Layout& layout, const char* setting, const char* varies) {
    const Refusal why = layout_problem(layout, facts_);
    if (why.field != setting) return false;
    result_.rejected.push_back({layout, varies, kind_of(why, layout, facts_), why, 0});
    return true;
  }

  // One stage a rank is 1F1B with pairs; more than kMostPerRank leave stages of hardly a layer.
  void try_stages_per_rank(Layout layout) {
    for (layout.stages_per_rank = 1; layout.stages_per_rank <= kMostPerRank;
         ++layout.stages_per_rank) {
      if (layout.pp % layout.stages_per_rank == 0) try_expert_degrees(layout);
    }
  }

  void try_expert_degrees(Layout layout) {
    layout.ep = 1;
    layout.micro_batch_sequences = 1;
    if (rejects(layout, "pp", "ep, micro-batch, recompute")) return;
    const int64_t most = facts_.has_moe_layers ? facts_.n_routed_experts : 1;
    for (layout.ep = 1; layout.ep <= most; ++layout.ep) {
      if (facts_.has_moe_layers && facts_.n_routed_experts % layout.ep != 0) continue;
      if (rejects(layout, "ep", "micro-batch, recompute")) continue;
      try_micro_batches(layout);
    }
  }

  void try_micro_batches(Layout layout) {
    const int64_t replicas = facts_.gpus / pipeline_ranks(layout);
    const int64_t most = std::clamp<int64_t>(facts_.batch_sequences / replicas, 1, kMostSequences);
    for (int64_t n = 1; n <= most; n *= 2) {
      layout.micro_batch_sequences = n;
      if (rejects(layout, "micro-batch", "recompute") || rejects(layout, "schedule", "recompute") ||
          rejects(layout, "precision", "recompute")) {
        continue;
      }
      for (const Recompute policy : {Recompute::kNone, Recompute::kSelective, Recompute::kFull}) {
        layout.recompute = policy;
        try_memory(layout);
      }
    }
  }

  void try_memory(const Layout& layout) {
    set_layout(sheet_, layout);
    const Refusal why = memory_problem(sheet_);
    if (!why.empty()) {
      result_.rejected.push_back({layout, "", "memory", why, -sheet_.value("memory_headroom")});
      return;
    }
    LayoutScore score;
    score.layout = layout;
    score.memory = sheet_.value("memory_per_gpu");
    // Every chunk at its cheapest, then what is added to every step.
    const double chunk = sheet_.value("overlaps") > 0
                             ? std::min(sheet_.value("pair_seconds"), alone_seconds())
                             : alone_seconds();
    score.bound_seconds = sheet_.value("micro_batches") * sheet_.value("stages_per_rank") * chunk *
                              (1 + sheet_.value("stall_share")) +
                          sheet_.value("optimizer_seconds");
    result_.fitting.push_back(score);
  }

  double alone_seconds() const {
    return sheet_.value("forward_seconds") + sheet_.value("backward_input_seconds") +
           sheet_.value("weight_seconds");
  }

  void simulate_promising(const std::function<void(size_t)>& progress) {
    std::vector<LayoutScore>& list = result_.fitting;
    std::stable_sort(list.begin(), list.end(), [](const LayoutScore& a, const LayoutScore& b) {
      return a.bound_seconds < b.bound_seconds;
    });
    std::vector<double> best;  // ascending, at most n_best
    for (LayoutScore& score : list) {
      if (best.size() == n_best_ && score.bound_seconds >= best.back()) break;
      set_layout(sheet_, score.layout);
      score.step_seconds = sheet_.value("step_seconds");
      score.bubble_share = sheet_.value("bubble_share");
      score.mfu = sheet_.value("mfu");
      score.gpu_hours_per_trillion_tokens = sheet_.value("gpu_hours_per_trillion_tokens");
      best.insert(std::upper_bound(best.begin(), best.end(), score.step_seconds),
                  score.step_seconds);
      if (best.size() > n_best_) best.pop_back();
      progress(++result_.n_simulated);
    }
    std::stable_sort(
        list.begin(), list.begin() + static_cast<std::ptrdiff_t>(result_.n_simulated),
        [](const LayoutScore& a, const LayoutScore& b) { return a.step_seconds < b.step_seconds; });
  }

  Worksheet& sheet_;
  size_t n_best_;
  Layout found_;
  LayoutFacts facts_;
  LayoutSearch result_;
};

struct MemoryPart {
  const char *cell, *name;
};
constexpr MemoryPart kParts[] = {{"memory_activations", "activations"},
                                 {"memory_gradients", "gradients"},
                                 {"memory_expert_weights", "weights of experts"},
                                 {"memory_other_weights", "other weights"},
                                 {"memory_optimizer_experts", "optimizer states of experts"},
                                 {"memory_optimizer_others", "other optimizer states"},
                                 {"memory_end_tables", "embedding and head"},
                                 {"memory_end_mtp", "MTP"},
                                 {"memory_end_logits", "logits"}};

const MemoryPart& largest_part(const Worksheet& sheet) {
  const MemoryPart* largest = &kParts[0];
  for (const MemoryPart& part : kParts) {
    if (sheet.value(part.cell) > sheet.value(largest->cell)) largest = &part;
  }
  return *largest;
}

}  // namespace

Refusal memory_problem(const Worksheet& sheet) {
  const double over = -sheet.value("memory_headroom");
  if (over <= 0) return {};
  const MemoryPart& part = largest_part(sheet);
  return Complaint{.place = "memory",
                   .problem = {human_quantity(sheet.value("memory_per_gpu"), "B"), " of ",
                               human_quantity(sheet.value("gpu_memory"), "B"), " per GPU, ",
                               human_quantity(over, "B"), " over"},
                   .advice = {"the largest part: ", part.name, ", ",
                              human_quantity(sheet.value(part.cell), "B")}};
}

std::string memory_advice(const Worksheet& sheet) {
  const std::string part = largest_part(sheet).cell;
  const Layout layout = layout_of(sheet);
  if (part == "memory_activations" || part == "memory_end_logits") {
    if (layout.micro_batch_sequences > 1) return "use a smaller micro-batch";
    if (layout.recompute != Recompute::kFull) {
      return concat("recompute more (recompute=",
                    layout.recompute == Recompute::kNone ? "selective" : "full", "), or raise pp");
    }
    return "use shorter sequences ({set} sequence_length=N) or GPUs with more memory";
  }
  if (part == "memory_end_tables" || part == "memory_end_mtp") {
    return "use GPUs with more memory, or leave MTP out ({set} n_mtp=0)";
  }
  if (part == "memory_optimizer_others" || part == "memory_other_weights") return "raise pp";
  return layout.schedule == ScheduleKind::kDualPipe
             ? "raise ep or pp, or use schedule=dualpipev, which holds parameters once"
             : "raise ep or pp";
}

LayoutSearch search_layouts(Worksheet& sheet, size_t n_best,
                            const std::function<void(size_t)>& progress) {
  return Search(sheet, n_best).run(progress);
}

}  // namespace hadal
