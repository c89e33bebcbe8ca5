#include "hadal/measure/measure_ranks.h"

#include <algorithm>
#include <array>

#include "hadal/comm/collectives.h"
#include "hadal/core/error.h"
#include "hadal/core/host_name.h"
#include "hadal/measure/random_operand.h"
#include "hadal/parallel/node_map.h"
#include "hadal/spread/answer_requests.h"

namespace hadal {
namespace {

std::vector<NumberedRequest> requests_of(const MeasureRanksOptions& o, int64_t vocab_size) {
  std::vector<NumberedRequest> all;
  for (int64_t i = 0; i < o.requests; ++i) {
    all.push_back({i, random_tokens(o.prompt_tokens, vocab_size, o.seed + static_cast<uint64_t>(i)),
                   o.decode_tokens});
  }
  return all;
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

// Of all requests together.
struct Waits {
  std::vector<double> first, next,
      between;     // seconds: to the first token, to the second, to others
  double end = 0;  // the last token of all
};

// When tokens were there, in seconds behind the start: the first of each request, as its reader saw it, and
// all, as the writer told them.
Waits waits_of(const std::map<int64_t, std::string>& read,
               const std::map<int64_t, std::string>& told) {
  Waits waits;
  for (const auto& [number, text] : told) {
    const double first = parse_json(read.at(number), "time").as_number();
    const Json times = parse_json(text, "times");
    const Json::Array& tokens = times.as_array();
    waits.first.push_back(first);
    if (tokens.size() > 1) waits.next.push_back(tokens[1].as_number() - first);
    for (size_t i = 2; i < tokens.size(); ++i) {
      waits.between.push_back(tokens[i].as_number() - tokens[i - 1].as_number());
    }
    if (!tokens.empty()) waits.end = std::max(waits.end, tokens.back().as_number());
  }
  return waits;
}

// The same moment on all ranks, by each one's clock: that of rank 0 where all are on one host, or a barrier's.
double common_start(SpreadRank& rank) {
  Arena& arena = rank.text.arena;
  const std::vector<int> node_of = nodes_by_name(rank.world, host_name(), arena);
  barrier(rank.world, arena);
  std::array<double, 1> start = {rank.leads() ? monotonic_seconds() : 0.0};
  if (std::ranges::max(node_of) > 0) return monotonic_seconds();
  all_reduce_sum(rank.world, start, arena);
  return start[0];
}

}  // namespace

MeasureReport measure_ranks(SpreadRank& rank, const MeasureRanksOptions& o) {
  for (const auto& [field, value] :
       {std::pair{"requests", o.requests}, std::pair{"prompt_tokens", o.prompt_tokens},
        std::pair{"decode_tokens", o.decode_tokens}, std::pair{"max_running", o.max_running}}) {
    require(value >= 1,
            {.field = field, .problem = "out of range", .found = value, .expected = "1 or more"});
  }
  const ModelConfig& config = rank.text.model.config;
  require_room(config.max_position_embeddings, o.prompt_tokens, o.decode_tokens);
  Arena& arena = rank.text.arena;
  std::vector<NumberedRequest> all;
  if (rank.leads()) all = requests_of(o, config.vocab_size);
  const DealtRequests dealt = deal_out(rank.world, arena, rank.n_readers(), all);
  AnswerHow how{.cache = {.form = o.cache, .reuse = Reuse::kRead}, .max_running = o.max_running};
  how.options.draft_tokens = o.draft_tokens;
  how.options.draft_from = DraftFrom::kMtp;
  std::map<int64_t, std::vector<double>> times;
  std::map<int64_t, std::string> read, told;
  const double start = common_start(rank);
  const auto now = [&] { return monotonic_seconds() - start; };
  const AnswerSink sink{[&](int64_t number, int32_t) {
                          times[number].push_back(now());
                          return true;
                        },
                        [&](int64_t number, const GenerateResult&) {
                          told[number] = Json::array_of(times[number]).dump();
                        },
                        [&](int64_t number) { read[number] = Json(now()).dump(); }};
  const AnswerTraffic traffic = answer_requests(rank, dealt, how, sink);
  std::array<int64_t, 2> sent = {traffic.n_sent, traffic.bytes_sent};
  all_reduce_sum(rank.world, sent, arena);
  read = gather_answers(rank.world, arena, read);
  told = gather_answers(rank.world, arena, told);
  MeasureReport report;
  if (!rank.leads()) return report;
  const Waits waits = waits_of(read, told);
  const auto n_tokens = static_cast<double>(o.requests * o.decode_tokens);
  const double each = sent[0] > 0 ? static_cast<double>(sent[1]) / static_cast<double>(sent[0]) : 0;
  report.results = {
      {"all together", n_tokens / waits.end, "tok/s"},
      {"first token", quantile(waits.first, 0.5) * 1e3, "ms"},
      {"first token, the longest of 20", quantile(waits.first, 0.95) * 1e3, "ms"},
      {"next token", quantile(waits.next, 0.5) * 1e3, "ms"},
      {"between two tokens", quantile(waits.between, 0.5) * 1e3, "ms"},
      {"between two tokens, the longest of 20", quantile(waits.between, 0.95) * 1e3, "ms"},
      {"moved of a request", each / 1e6, "MB"}};
  report.details["ranks"] = rank.world.n_ranks();
  report.details["prefill_ranks"] = rank.prefill_ranks;
  report.details["requests"] = o.requests;
  report.details["moved_requests"] = sent[0];
  report.details["moved_bytes"] = sent[1];
  if (rank.mover != nullptr) {
    const PlacementMover::Figures& figures = rank.mover->figures();
    report.details["layers_moved"] = figures.n_layers_moved;
    report.details["balancedness_first"] = figures.balancedness_first;
    report.details["balancedness_last"] = figures.balancedness_last;
  }
  report.details["prompt_tokens"] = o.prompt_tokens;
  report.details["decode_tokens"] = o.decode_tokens;
  report.details["threads_of_rank"] = rank.text.pool.n_threads();
  return report;
}

}  // namespace hadal
