// T tokens of this rank, K choices each; A tokens that came; R rows of this rank's experts.
#include "hadal/parallel/expert_dispatcher.h"

#include <algorithm>
#include <numeric>

#include "hadal/ops/convert.h"
#include "hadal/ops/row_records.h"
#include "hadal/schedule/replica_split.h"

namespace hadal {
namespace {

constexpr int64_t kTagF = 0, kTagB = 1;

RowList count_up(int64_t first, int64_t n) {
  RowList list(static_cast<size_t>(n));
  std::iota(list.begin(), list.end(), static_cast<int32_t>(first));
  return list;
}

KeptRows in_form(Context& ctx, const KeptRows& tokens, DispatchForm form) {
  switch (form) {
    case DispatchForm::kCompute:
      break;
    case DispatchForm::kF32:
      return KeptRows::as_is(tokens.f32(ctx), tokens.is_bf16());
    case DispatchForm::kBf16:
      return KeptRows::bf16_of(ctx, tokens.f32(ctx));
    case DispatchForm::kFp8:
      if (tokens.is_fp8()) break;
      return KeptRows::fp8_of(ctx, tokens.f32(ctx), {.power_of_two = true, .amax_floor = false});
  }
  return tokens.share();
}

template <class Form>
Form form_named(std::string_view name, std::string_view field,
                std::initializer_list<std::pair<std::string_view, Form>> forms) {
  std::string names;
  for (const auto& [known, form] : forms) {
    if (known == name) return form;
    names += concat(names.empty() ? "" : ", ", known);
  }
  throw ConfigError(Complaint{
      .field = field, .problem = "unknown form", .found = name, .expected = {"one of ", names}});
}

int64_t n_records(const std::vector<Tensor>& pieces) {
  int64_t n = 0;
  for (const Tensor& piece : pieces) n += piece.dim(0);
  return n;
}

// Record i of all pieces, one after another, to row order[i] of the parts. A piece dies when it was read.
void unpack_pieces(Context& ctx, std::span<Tensor> parts, std::vector<Tensor> pieces,
                   std::span<const int32_t> order) {
  for (Tensor& piece : pieces) {
    const auto n = static_cast<size_t>(piece.dim(0));
    unpack_rows(ctx, parts, piece, order.first(n));
    order = order.subspan(n);
    piece = {};
  }
}

// What stands before a token in F: its choices, their gates, and the rank it comes from.
struct Metadata {
  Tensor indices, gates;  // [n,K]
  Tensor sources;         // [n]

  static Metadata of_pieces(Context& ctx, const std::vector<Tensor>& pieces, int64_t top_k) {
    const int64_t n = n_records(pieces);
    Metadata all{ctx.empty({n, top_k}, DType::kI32), ctx.empty({n, top_k}),
                 ctx.empty({n}, DType::kI32)};
    std::vector<Tensor> parts = all.parts();
    int64_t first = 0;
    for (const Tensor& piece : pieces) {
      unpack_rows(ctx, parts, piece, count_up(first, piece.dim(0)));
      first += piece.dim(0);
    }
    return all;
  }
  std::vector<Tensor> parts() const {
    std::vector<Tensor> result;
    for (const Tensor* part : {&indices, &gates, &sources}) result.push_back(part->share());
    return result;
  }
  View<const int32_t, 2> choices() const { return indices.view<int32_t, 2>(); }
};

std::vector<Tensor> in_a_row(std::vector<Tensor> parts, std::vector<Tensor> more) {
  std::ranges::move(more, std::back_inserter(parts));
  return parts;
}

// Ranks of each node. REQUIRES node_of for every rank; ConfigError where a node has none.
std::vector<std::vector<int>> ranks_of_nodes(const std::vector<int>& node_of, int n_ranks) {
  require(std::ssize(node_of) == n_ranks, {.place = "expert parallelism",
                                           .problem = "every rank of the expert group needs a node",
                                           .found = {node_of.size(), " nodes"},
                                           .expected = {n_ranks}});
  std::vector<std::vector<int>> ranks(static_cast<size_t>(*std::ranges::max_element(node_of)) + 1);
  for (int rank = 0; rank < n_ranks; ++rank) {
    ranks.at(static_cast<size_t>(node_of[static_cast<size_t>(rank)])).push_back(rank);
  }
  return ranks;
}

}  // namespace

DispatchForm dispatch_form(std::string_view name) {
  return form_named<DispatchForm>(name, "parallel.dispatch",
                                  {{"compute", DispatchForm::kCompute},
                                   {"f32", DispatchForm::kF32},
                                   {"bf16", DispatchForm::kBf16},
                                   {"fp8", DispatchForm::kFp8}});
}

CombineForm combine_form(std::string_view name) {
  return form_named<CombineForm>(name, "parallel.combine",
                                 {{"f32", CombineForm::kF32}, {"bf16", CombineForm::kBf16}});
}

ExpertRange experts_of_rank(int64_t n_routed_experts, int n_ranks, int rank) {
  require(n_ranks > 0 && n_routed_experts % n_ranks == 0,
          {.field = "parallel.expert",
           .problem = "the ranks of an expert group must share the experts out evenly",
           .found = {n_ranks, " ranks for n_routed_experts = ", n_routed_experts},
           .expected = "a divisor"});
  const int64_t n = n_routed_experts / n_ranks;
  return {rank * n, (rank + 1) * n};
}

// One micro-batch's way through one layer.
class ExpertDispatcher::Journey : public Dispatch::Journey {
 public:
  Journey(ExpertRange experts, int ranks, int64_t k) : range(experts), n_ranks(ranks), top_k(k) {}
  int place_of(int32_t expert) const { return expert / static_cast<int>(range.size()); }
  bool arrived_before() const { return !ends.empty(); }
  // Tokens of source rank s among those that came.
  int64_t begin_of(int s) const { return s == 0 ? 0 : ends[static_cast<size_t>(s) - 1]; }
  int64_t end_of(int s) const { return ends[static_cast<size_t>(s)]; }
  int64_t n_arrived() const { return ends.back(); }
  // The places of records in ascending source, as they were in each.
  void sort(const Tensor& sources_of_records);

  ExpertRange range;
  int n_ranks;
  int64_t top_k;
  std::vector<RowList> first_hop;   // [circle] which tokens go to each rank of it
  std::vector<RowList> second_hop;  // [node] which records of the first hop go on
  ExpertRows returned;              // over what comes back in a combine
  Tensor gates;                     // of this rank's tokens
  Metadata metadata;                // until it was sent
  KeptRows form;                    // of tokens under way; no rows
  RowList order;                    // [A] where the token of each record stands
  std::vector<int64_t> ends;        // [ranks] of each source's tokens
  Exchange exchange;
  bool goes_back = false;    // B is under way
  bool goes_on = false;      // what arrives of the exchange under way is to be handed on
  bool has_numbers = false;  // beside the rows of the combine under way
  ExpertTraffic traffic;
};

void ExpertDispatcher::Journey::sort(const Tensor& sources_of_records) {
  const auto sources = sources_of_records.flat<int32_t>();
  ends.assign(static_cast<size_t>(n_ranks), 0);
  std::vector<int32_t> source_of(sources.begin(), sources.end());
  for (const int32_t s : source_of) ++ends.at(static_cast<size_t>(s));
  std::partial_sum(ends.begin(), ends.end(), ends.begin());
  std::vector<int64_t> next(ends.size(), 0);
  for (size_t s = 1; s < next.size(); ++s) next[s] = ends[s - 1];
  order.clear();
  for (const int32_t s : source_of) {
    order.push_back(static_cast<int32_t>(next[static_cast<size_t>(s)]++));
  }
}

ExpertDispatcher::ExpertDispatcher(Communicator& group, ExpertExchange how)
    : group_(group), how_(std::move(how)) {
  const int n_ranks = group.n_ranks();
  if (how_.node_of.empty()) how_.node_of.assign(static_cast<size_t>(n_ranks), 0);
  const auto ranks_of = ranks_of_nodes(how_.node_of, n_ranks);
  n_nodes_ = static_cast<int>(ranks_of.size());
  all_.ranks = count_up(0, n_ranks);
  all_.comm = &group_;
  if (!how_.hierarchical) return;
  const std::vector<int>& mine = ranks_of[static_cast<size_t>(node_of(group.rank()))];
  for (const auto& ranks : ranks_of) {
    require(ranks.size() == mine.size(),
            {.place = "expert parallelism",
             .problem = "tokens are handed on by the rank with the same index on another node",
             .found = {ranks.size(), " and ", mine.size(), " ranks on two nodes"},
             .expected = "equally many on all",
             .advice = "start as many ranks on every host, or exchange without nodes"});
  }
  const auto index = static_cast<size_t>(std::ranges::find(mine, group.rank()) - mine.begin());
  std::vector<int> column;
  for (const auto& ranks : ranks_of) column.push_back(ranks[index]);
  column_comm_ = group.group(column);
  node_comm_ = group.group(mine);
  column_ = {column_comm_.get(), column};
  node_ = {node_comm_.get(), mine};
}

ExpertDispatcher::Journey& ExpertDispatcher::journey_of(Dispatch& dispatch) {
  return static_cast<Journey&>(*dispatch.journey);
}

const ExpertTraffic& ExpertDispatcher::traffic(const Dispatch& dispatch) {
  return static_cast<const Journey&>(*dispatch.journey).traffic;
}

// Every rank splits its own tokens by the same shares; the turn differs, so that not all begin alike.
void ExpertDispatcher::choose_copies(Context& ctx, View<int32_t, 2> slots,
                                     View<const int32_t, 2> indices, const ExpertSlots& of) {
  const int64_t turn = n_choices_++ + group_.rank();
  if (how_.copies == CopyChoice::kShares) return choose_slots(slots, indices, of, turn);
  const std::vector<int64_t> mine = expert_load(indices, std::ssize(of.slots_of));
  std::vector<double> load(mine.begin(), mine.end());
  all_reduce_sum(group_, std::span<double>(load), ctx.arena);
  ExpertSlots now = of;
  now.shares = slot_shares(split_by_program(load, of.expert_of, group_.n_ranks()).load_of_slot,
                           of.expert_of, std::ssize(load));
  choose_slots(slots, indices, now, turn);
}

Dispatch ExpertDispatcher::plan(Context& ctx, View<const int32_t, 2> indices, const Tensor& gates,
                                const HeldExperts& held) {
  const int n_ranks = group_.n_ranks(), rank = group_.rank();
  const ExpertRange experts = held.here();
  if (experts.first != rank * experts.size()) {
    throw ShapeError(concat("expert parallelism: rank ", rank, " of ", n_ranks, " has ",
                            held.slots != nullptr ? "slots " : "experts ", experts.first, " to ",
                            experts.last, ", want the ", rank, "-th of equal ranges"));
  }
  const int64_t n_tokens = indices.dim(0), top_k = indices.dim(1);
  auto journey = std::make_unique<Journey>(experts, n_ranks, top_k);
  journey->gates = gates.share();
  journey->metadata = {ctx.empty({n_tokens, top_k}, DType::kI32), gates.share(),
                       ctx.empty({n_tokens}, DType::kI32)};
  if (held.slots == nullptr) {
    journey->metadata.indices.read_from(indices.data());
  } else {
    choose_copies(ctx, journey->metadata.indices.view<int32_t, 2>(), indices, *held.slots);
  }
  const RowList sources(static_cast<size_t>(n_tokens), rank);
  journey->metadata.sources.read_from(sources.data());
  plan_route(std::as_const(journey->metadata.indices).view<int32_t, 2>(), *journey);
  Dispatch dispatch;
  dispatch.from_elsewhere = n_ranks > 1;
  dispatch.journey = std::move(journey);
  return dispatch;
}

void ExpertDispatcher::plan_route(View<const int32_t, 2> indices, Journey& journey) const {
  const auto place_of = [&](int32_t expert) { return journey.place_of(expert); };
  const auto node_of_expert = [&](int32_t expert) { return node_of(journey.place_of(expert)); };
  std::vector<RowList> to_places = tokens_of_groups(indices, journey.n_ranks, place_of);
  std::vector<RowList> to_nodes = tokens_of_groups(indices, n_nodes_, node_of_expert);
  journey.returned = how_.combine == CombineForm::kF32
                         ? returned_rows(indices, journey.n_ranks, place_of)
                         : returned_sums(to_places, indices.dim(0));
  std::vector<int64_t> nodes_of_token(static_cast<size_t>(indices.dim(0)), 0);
  for (const RowList& tokens : to_nodes) {
    journey.traffic.tokens_to_node.push_back(std::ssize(tokens));
    for (const int32_t t : tokens) {
      const int64_t n = ++nodes_of_token[static_cast<size_t>(t)];
      journey.traffic.most_nodes = std::max(journey.traffic.most_nodes, n);
    }
  }
  journey.first_hop = how_.hierarchical ? std::move(to_nodes) : std::move(to_places);
}

Exchange ExpertDispatcher::send(Context& ctx, std::span<const Tensor> parts,
                                const std::vector<RowList>& rows, const Circle& circle,
                                Journey& journey) const {
  std::vector<Tensor> pieces;
  for (size_t i = 0; i < rows.size(); ++i) {
    pieces.push_back(packed_rows(ctx, parts, rows[i]));
    const int to = circle.ranks[i];
    if (to == group_.rank()) continue;
    const bool near = node_of(to) == node_of(group_.rank());
    ExpertTraffic& traffic = journey.traffic;
    (near ? traffic.bytes_in_node : traffic.bytes_across) += pieces.back().bytes();
  }
  const MessageForm form{DType::kU8, {-1, pieces.front().dim(1)}};
  return {*circle.comm, std::move(pieces), form, ctx.arena, journey.goes_back ? kTagB : kTagF};
}

void ExpertDispatcher::start_dispatch(Context& ctx, KeptRows tokens, Dispatch& dispatch) {
  Journey& journey = journey_of(dispatch);
  const KeptRows sent = in_form(ctx, tokens, how_.dispatch);
  std::vector<Tensor> parts = sent.parts();
  journey.goes_back = journey.arrived_before();
  if (!journey.goes_back) parts = in_a_row(journey.metadata.parts(), std::move(parts));
  journey.form = sent.empty_as(ctx, 0);
  journey.goes_on = how_.hierarchical;
  journey.exchange =
      send(ctx, parts, journey.first_hop, how_.hierarchical ? column_ : all_, journey);
}

// What came from other nodes and this one, on its way to the ranks of this node that have its experts.
void ExpertDispatcher::hand_on(Context& ctx, Journey& journey) const {
  std::vector<Tensor> pieces = journey.exchange.finish();
  if (!journey.arrived_before()) {
    const Metadata metadata = Metadata::of_pieces(ctx, pieces, journey.top_k);
    const auto place_of = [&](int32_t expert) { return journey.place_of(expert); };
    const std::vector<RowList> to_places =
        tokens_of_groups(metadata.choices(), journey.n_ranks, place_of);
    for (const int rank : node_.ranks) {
      journey.second_hop.push_back(to_places[static_cast<size_t>(rank)]);
    }
  }
  const int64_t n = n_records(pieces);
  std::vector<Tensor> records;
  records.push_back(ctx.empty({n, pieces.front().dim(1)}, DType::kU8));
  unpack_pieces(ctx, records, std::move(pieces), count_up(0, n));
  journey.exchange = send(ctx, records, journey.second_hop, node_, journey);
  journey.goes_on = false;
}

bool ExpertDispatcher::arrived(Context& ctx, Dispatch& dispatch) {
  Journey& journey = journey_of(dispatch);
  if (!journey.exchange.arrived()) return false;
  if (!journey.goes_on) return true;
  hand_on(ctx, journey);
  return journey.exchange.arrived();
}

KeptRows ExpertDispatcher::finish_dispatch(Context& ctx, Dispatch& dispatch) {
  Journey& journey = journey_of(dispatch);
  if (journey.goes_on) hand_on(ctx, journey);
  std::vector<Tensor> pieces = journey.exchange.finish();
  const bool first = !journey.arrived_before();
  Metadata metadata;
  if (first) {
    metadata = Metadata::of_pieces(ctx, pieces, journey.top_k);
    journey.sort(metadata.sources);
  }
  KeptRows tokens = journey.form.empty_as(ctx, journey.n_arrived());
  std::vector<Tensor> parts = tokens.parts();
  if (first) parts = in_a_row(metadata.parts(), std::move(parts));
  unpack_pieces(ctx, parts, std::move(pieces), journey.order);
  if (first) {
    dispatch.rows = ExpertRows::from(metadata.choices(), journey.range);
    dispatch.gates = std::move(metadata.gates);
    journey.metadata = {};
  }
  return tokens;
}

void ExpertDispatcher::start_combine(Context& ctx, Tensor rows, Tensor numbers, Weights weights,
                                     Dispatch& dispatch) {
  Journey& journey = journey_of(dispatch);
  dispatch.weights = weights;
  const bool has_numbers = numbers.has_data();
  std::vector<Tensor> parts;
  std::vector<RowList> lists;
  if (how_.combine == CombineForm::kF32) {
    parts.push_back(std::move(rows));
    for (int s = 0; s < journey.n_ranks; ++s) {
      lists.push_back(rows_of_tokens(dispatch.rows, journey.begin_of(s), journey.end_of(s)));
    }
  } else {
    Tensor sums = ctx.zeros({journey.n_arrived(), rows.dim(1)});
    numbers = sum_rows(ctx, sums.mat(), rows, numbers, weights, dispatch.gates, dispatch.rows);
    rows = {};
    parts.push_back(ctx.empty(sums.shape(), DType::kBF16));
    convert(ctx, parts.front(), sums);
    for (int s = 0; s < journey.n_ranks; ++s) {
      lists.push_back(count_up(journey.begin_of(s), journey.end_of(s) - journey.begin_of(s)));
    }
  }
  if (has_numbers) parts.push_back(std::move(numbers));
  journey.has_numbers = has_numbers;
  journey.exchange = send(ctx, parts, lists, all_, journey);
}

Tensor ExpertDispatcher::finish_combine(Context& ctx, View<float, 2> y, Dispatch& dispatch) {
  Journey& journey = journey_of(dispatch);
  const ExpertRows& returned = journey.returned;
  std::vector<Tensor> pieces = journey.exchange.finish();
  const int64_t n = n_records(pieces);
  if (n != returned.n_rows()) {
    throw CommError(concat("expert parallelism: rank ", group_.rank(),
                           " did not get back what its tokens chose (found ", n, " rows, expected ",
                           returned.n_rows(), ")"));
  }
  const bool sums = how_.combine == CombineForm::kBf16;
  std::vector<Tensor> parts;
  parts.push_back(ctx.empty({n, y.dim(1)}, sums ? DType::kBF16 : DType::kF32));
  if (journey.has_numbers) {
    parts.push_back(sums ? ctx.empty({n, journey.top_k}) : ctx.empty({n}));
  }
  unpack_pieces(ctx, parts, std::move(pieces), count_up(0, n));
  const Tensor numbers = journey.has_numbers ? std::move(parts.back()) : Tensor();
  if (!sums) {
    return sum_rows(ctx, y, parts.front(), numbers, dispatch.weights, journey.gates, returned);
  }
  Tensor rows = ctx.empty(parts.front().shape());
  convert(ctx, rows, parts.front());
  gather_rows_backward(ctx, y, std::as_const(rows).mat(), returned);
  if (!numbers.has_data()) return {};
  // A choice's number is in the sum of its place; the others have zeros there.
  Tensor choices = ctx.zeros({returned.n_tokens, journey.top_k});
  gather_rows_backward(ctx, choices.mat(), numbers.mat(), returned);
  return choices;
}

}  // namespace hadal
