// Requests that one rank reads are answered on all, each as alone.
#include "hadal/spread/answer_requests.h"

#include <gtest/gtest.h>

#include <mutex>

#include "hadal/comm/thread_ranks.h"
#include "tests/support/refusal.h"
#include "tests/support/text_model_folder.h"

namespace hadal::test {
namespace {

std::vector<NumberedRequest> some_requests(int64_t n) {
  std::vector<NumberedRequest> requests;
  for (int64_t i = 0; i < n; ++i) {
    const auto id = static_cast<int32_t>(20 + 7 * i);
    requests.push_back(
        {i, std::vector<int32_t>(static_cast<size_t>(1 + 9 * i % 23), id), 4 + 3 * i});
  }
  return requests;
}

AnswerHow sampled_with_drafts() {
  AnswerHow how;
  how.options.sampling.temperature = 0.8;
  how.options.draft_tokens = 2;
  return how;
}

using Tokens = std::map<int64_t, std::vector<int32_t>>;

Tokens alone(const std::vector<NumberedRequest>& requests, const AnswerHow& how) {
  TextModel m(text_model_folder(), 1, Device::kCpu, true);
  m.model.ensure_rope(m.arena, 128);
  Tokens tokens;
  for (const NumberedRequest& request : requests) {
    GenerateOptions options = how.options;
    options.max_tokens = request.max_tokens;
    tokens[request.number] = generate(m.ctx, m.model, request.prompt, options).tokens;
  }
  return tokens;
}

TEST(SharedRequests, GoToTheRanksInTurn) {
  const std::vector<NumberedRequest> all = some_requests(7);
  std::vector<Arena> arenas(3);
  run_thread_ranks({.n_ranks = 3}, [&](Communicator& comm) {
    Arena& arena = arenas[static_cast<size_t>(comm.rank())];
    const DealtRequests dealt =
        deal_out(comm, arena, 2, comm.rank() == 0 ? all : std::vector<NumberedRequest>());
    std::map<int64_t, std::string> answers;
    for (const NumberedRequest& request : dealt.own) {
      const NumberedRequest& sent = all[static_cast<size_t>(request.number)];
      EXPECT_EQ(request.number % 2, comm.rank());
      EXPECT_EQ(request.prompt, sent.prompt);
      EXPECT_EQ(request.max_tokens, sent.max_tokens);
      answers[request.number] = concat("answer ", request.number);
    }
    EXPECT_EQ(dealt.n_all, 7);
    EXPECT_EQ(dealt.context, 42);  // number 5: 23 and 19
    EXPECT_EQ(dealt.own.size(), comm.rank() == 0 ? 4U : comm.rank() == 1 ? 3U : 0U);
    const auto everybodys = gather_answers(comm, arena, answers);
    EXPECT_EQ(everybodys.size(), comm.rank() == 0 ? 7U : 0U);
    for (const auto& [number, answer] : everybodys) EXPECT_EQ(answer, concat("answer ", number));
  });
}

struct Told {
  Tokens told, answered;
  std::map<int64_t, int> writer;  // rank
  int64_t bytes_sent = 0, layers_moved = 0;
};

Told answers_on_ranks(int n_ranks, int prefill_ranks, const std::vector<NumberedRequest>& all,
                      const AnswerHow& how, int64_t redundant_experts = 0) {
  Told result;
  std::mutex mutex;
  const LaunchedModel model{.path = text_model_folder(),
                            .prefill_ranks = prefill_ranks,
                            .redundant_experts = redundant_experts,
                            .passes_between_looks = 5,
                            .thread_ranks = n_ranks};
  run_launched_model(model, [&](SpreadRank& rank) {
    const DealtRequests dealt = deal_out(rank.world, rank.text.arena, rank.n_readers(),
                                         rank.leads() ? all : std::vector<NumberedRequest>());
    const AnswerSink sink{[&](int64_t number, int32_t token) {
                            const std::lock_guard lock(mutex);
                            result.told[number].push_back(token);
                            return true;
                          },
                          [&](int64_t number, const GenerateResult& answer) {
                            const std::lock_guard lock(mutex);
                            EXPECT_TRUE(result.answered.emplace(number, answer.tokens).second);
                            result.writer[number] = rank.world.rank();
                          }};
    const AnswerTraffic traffic = answer_requests(rank, dealt, how, sink);
    const std::lock_guard lock(mutex);
    result.bytes_sent += traffic.bytes_sent;
    if (rank.mover != nullptr) result.layers_moved += rank.mover->figures().n_layers_moved;
  });
  return result;
}

struct Ranks {
  int n_ranks, prefill_ranks;
  int64_t n_requests, max_running;
};

// More requests than ranks, fewer, and more than may run at once.
TEST(AnswerRequests, EachIsAnsweredAsAlone) {
  for (const auto& [n_ranks, prefill_ranks, n_requests, max_running] :
       {Ranks{1, 0, 5, 2}, Ranks{2, 0, 7, 16}, Ranks{4, 0, 3, 16}, Ranks{2, 0, 8, 1}}) {
    const std::vector<NumberedRequest> all = some_requests(n_requests);
    AnswerHow how = sampled_with_drafts();
    how.max_running = max_running;
    const Tokens want = alone(all, how);
    const Told got = answers_on_ranks(n_ranks, prefill_ranks, all, how);
    EXPECT_EQ(got.answered, want) << n_ranks << " ranks";
    EXPECT_EQ(got.told, want) << n_ranks << " ranks";
    EXPECT_EQ(got.bytes_sent, 0);
  }
}

// The first ranks read, the others write, each unit with experts of its own: the same tokens.
TEST(AnswerRequests, PromptsMayBeReadOnOtherRanks) {
  for (const auto& [n_ranks, prefill_ranks, n_requests, max_running] :
       {Ranks{2, 1, 5, 16}, Ranks{4, 2, 9, 16}, Ranks{3, 1, 8, 2}, Ranks{3, 2, 2, 16}}) {
    const std::vector<NumberedRequest> all = some_requests(n_requests);
    AnswerHow how = sampled_with_drafts();
    how.max_running = max_running;
    const Tokens want = alone(all, how);
    const Told got = answers_on_ranks(n_ranks, prefill_ranks, all, how);
    EXPECT_EQ(got.answered, want) << prefill_ranks << " of " << n_ranks << " ranks";
    EXPECT_EQ(got.told, want) << prefill_ranks << " of " << n_ranks << " ranks";
    for (const auto& [number, rank] : got.writer) {
      EXPECT_EQ(rank, prefill_ranks + number % (n_ranks - prefill_ranks)) << number;
    }
    EXPECT_GT(got.bytes_sent, 0);
  }
}

// Busy experts get copies meanwhile, in each unit its own.
TEST(AnswerRequests, ExpertsMayMoveMeanwhile) {
  for (const auto& [n_ranks, prefill_ranks, n_requests, max_running] :
       {Ranks{2, 0, 7, 16}, Ranks{4, 2, 9, 4}, Ranks{3, 1, 8, 2}}) {
    const std::vector<NumberedRequest> all = some_requests(n_requests);
    AnswerHow how = sampled_with_drafts();
    how.max_running = max_running;
    const Told got = answers_on_ranks(n_ranks, prefill_ranks, all, how, 4);
    EXPECT_EQ(got.answered, alone(all, how)) << prefill_ranks << " of " << n_ranks << " ranks";
    EXPECT_GT(got.layers_moved, 0) << prefill_ranks << " of " << n_ranks << " ranks";
  }
}

TEST(AnswerRequests, AnAnswerOfOneTokenIsTheReaders) {
  std::vector<NumberedRequest> all = some_requests(2);
  all[0].max_tokens = 1;
  const Told got = answers_on_ranks(2, 1, all, sampled_with_drafts());
  EXPECT_EQ(got.answered, alone(all, sampled_with_drafts()));
  EXPECT_EQ(got.writer, (std::map<int64_t, int>{{0, 0}, {1, 1}}));
}

TEST(LaunchedModel, SaysWhatRanksCannotDo) {
  const auto refused = [](int n_ranks, int prefill_ranks, const std::string& names) {
    expect_refused<ConfigError>(
        [&] { answers_on_ranks(n_ranks, prefill_ranks, some_requests(1), {}); }, names);
  };
  refused(3, 0,
          "ranks: cannot share out the routed experts of a layer evenly (found 3 ranks for 16");
  refused(4, 1, "found 3 ranks for 16");  // of the writers
  refused(2, 2,
          "prefill_ranks: some ranks must be left to write (found 2 of 2, expected at most 1");
  refused(1, 1, "mpirun -n 2");
  expect_refused<ConfigError>([] { answers_on_ranks(4, 0, some_requests(1), {}, 6); },
                              "redundant_experts: every rank has equally many (found 6 on 4 ranks");
}

// A caller who wants no more of a request ends that one alone.
TEST(AnswerRequests, EndWhereTheCallerSays) {
  const std::vector<NumberedRequest> all = some_requests(3);
  const AnswerHow how = sampled_with_drafts();
  Tokens want = alone(all, how);
  want[1].resize(2);
  run_launched_model({.path = text_model_folder()}, [&](SpreadRank& rank) {
    std::map<int64_t, int> n_told;
    const AnswerSink sink{
        [&](int64_t number, int32_t) { return !(number == 1 && ++n_told[number] == 2); },
        [&](int64_t number, const GenerateResult& result) {
          EXPECT_EQ(result.tokens, want[number]) << number;
          EXPECT_EQ(result.finish_reason, number == 1 ? "stop" : "length") << number;
        }};
    answer_requests(rank, deal_out(rank.world, rank.text.arena, 1, all), how, sink);
  });
}

}  // namespace
}  // namespace hadal::test
