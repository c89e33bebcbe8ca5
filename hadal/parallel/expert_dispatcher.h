// parallel/expert_dispatcher.h: experts spread over the ranks of an expert group (report section 3.2.2;
// docs/expert_parallelism.md). Rank r holds the r-th of equally long ranges of
// experts, or of their slots.
//
// A token travels once to every rank that has an expert of it, with its choices and gates in F. Ranks list
// what came by (source rank, token), so an expert's rows are those of one rank that has all tokens, in
// the same order. No token is ever dropped: CommError where fewer rows come back than were chosen.
//
// All ranks of the group run the same F in the same order, and the same B, whether they have tokens or not. How
// F and B take turns is each rank's own matter: their messages have different tags.
#pragma once

#include <string_view>
#include <vector>

#include "hadal/comm/collectives.h"
#include "hadal/nn/token_dispatcher.h"
#include "hadal/parallel/token_routes.h"

namespace hadal {

// The form in which tokens and their gradients travel.
enum class DispatchForm {
  kCompute,  // as the experts' products read them: no bit is lost
  kF32,      // widened: none either, in more bytes
  kBf16,     // exact for what was rounded to BF16, or to codes with power-of-two scales
  kFp8,      // E4M3 in tiles of 1x128, power-of-two scales; codes stay what they are
};
enum class CombineForm {
  kF32,   // every row comes back; added in ascending expert: the bits of one rank
  kBf16,  // a rank's rows are summed in F32 and rounded once; added in ascending rank
};

// Which copy of an expert takes a token, where experts have slots (docs/expert_placement.md).
enum class CopyChoice {
  kShares,  // by the shares that came with the slots
  kProgram,  // by a min-max program over the loads of the moment, which ranks add up before every dispatch
};

struct ExpertExchange {
  DispatchForm dispatch = DispatchForm::kCompute;
  CombineForm combine = CombineForm::kF32;
  std::vector<int> node_of = {};  // of each rank (parallel/node_map.h); empty: all on one
  // A token goes once to every node, to the rank with the same index there, which hands it on. The same
  // bytes arrive. REQUIRES equally many ranks on every node.
  bool hierarchical = false;
  CopyChoice copies = CopyChoice::kShares;
};

// Of parallel.dispatch (compute, f32, bf16, fp8) and parallel.combine (f32, bf16); ConfigError for others.
DispatchForm dispatch_form(std::string_view name);
CombineForm combine_form(std::string_view name);

// What this rank sent for one micro-batch and layer. What it keeps for itself does not travel.
struct ExpertTraffic {
  int64_t bytes_in_node = 0, bytes_across = 0;  // dispatch and combine, F and B
  std::vector<int64_t> tokens_to_node;          // [n_nodes] of this rank's tokens
  int64_t most_nodes = 0;                       // that one of them goes to
};

// ConfigError where the ranks do not divide the experts.
ExpertRange experts_of_rank(int64_t n_routed_experts, int n_ranks, int rank);

class ExpertDispatcher final : public TokenDispatcher {
 public:
  // All ranks of the group together. ConfigError for nodes that do not fit it.
  explicit ExpertDispatcher(Communicator& group, ExpertExchange how = {});

  Dispatch plan(Context& ctx, View<const int32_t, 2> indices, const Tensor& gates,
                const HeldExperts& experts) override;
  void start_dispatch(Context& ctx, KeptRows tokens, Dispatch& dispatch) override;
  KeptRows finish_dispatch(Context& ctx, Dispatch& dispatch) override;
  void start_combine(Context& ctx, Tensor rows, Tensor numbers, Weights weights,
                     Dispatch& dispatch) override;
  Tensor finish_combine(Context& ctx, View<float, 2> y, Dispatch& dispatch) override;
  bool arrived(Context& ctx, Dispatch& dispatch) override;
  bool between_places() const override { return group_.n_ranks() > 1; }

  // REQUIRES a dispatch that this dispatcher planned.
  static const ExpertTraffic& traffic(const Dispatch& dispatch);

 private:
  // A group of ranks that exchange records: communicator, and its ranks' numbers in the whole group.
  struct Circle {
    Communicator* comm = nullptr;
    std::vector<int> ranks;
  };
  class Journey;
  static Journey& journey_of(Dispatch& dispatch);

  int node_of(int rank) const { return how_.node_of[static_cast<size_t>(rank)]; }
  void choose_copies(Context& ctx, View<int32_t, 2> slots, View<const int32_t, 2> indices,
                     const ExpertSlots& of);
  void plan_route(View<const int32_t, 2> indices, Journey& journey) const;
  Exchange send(Context& ctx, std::span<const Tensor> parts, const std::vector<RowList>& rows,
                const Circle& circle, Journey& journey) const;
  void hand_on(Context& ctx, Journey& journey) const;

  Communicator& group_;
  ExpertExchange how_;
  int n_nodes_ = 1;
  int64_t n_choices_ = 0;  // among copies so far, the same on all ranks
  std::unique_ptr<Communicator> column_comm_, node_comm_;
  Circle all_, column_, node_;  // column: the ranks with this one's index in their nodes
};

}  // namespace hadal
