// Requests that one rank reads are answered on all, each as alone.
#include "hadal/spread/answer_requests.h"

#include <mutex>

#include "hadal/comm/thread_ranks.h"
#include "hadal/parallel/expert_dispatcher.h"
#include "hadal/spread/expert_share.h"
#include "tests/support/text_model_folder.h"

#include <gtest/gtest.h>

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
    const auto own =
        deal_out(comm, arena, 2, comm.rank() == 0 ? all : std::vector<NumberedRequest>());
    std::map<int64_t, std::string> answers;
    for (const NumberedRequest& request : own) {
      const NumberedRequest& sent = all[static_cast<size_t>(request.number)];
      EXPECT_EQ(request.number % 2, comm.rank());
      EXPECT_EQ(request.prompt, sent.prompt);
      EXPECT_EQ(request.max_tokens, sent.max_tokens);
      answers[request.number] = concat("answer ", request.number);
    }
    EXPECT_EQ(own.size(), comm.rank() == 0 ? 4U : comm.rank() == 1 ? 3U : 0U);
    const auto everybodys = gather_answers(comm, arena, answers);
    EXPECT_EQ(everybodys.size(), comm.rank() == 0 ? 7U : 0U);
    for (const auto& [number, answer] : everybodys) EXPECT_EQ(answer, concat("answer ", number));
  });
}

// More requests than ranks, fewer, and more than may run at once.
TEST(AnswerRequests, EachIsAnsweredAsAlone) {
  struct Case {
    int n_ranks;
    int64_t n_requests, max_running;
  };
  for (const auto& [n_ranks, n_requests, max_running] :
       {Case{1, 5, 2}, Case{2, 7, 16}, Case{4, 3, 16}, Case{2, 8, 1}}) {
    const std::vector<NumberedRequest> all = some_requests(n_requests);
    AnswerHow how = sampled_with_drafts();
    how.max_running = max_running;
    Tokens told, answered;
    std::mutex mutex;
    std::vector<std::unique_ptr<TextModel>> models(static_cast<size_t>(n_ranks));
    run_thread_ranks({.n_ranks = n_ranks, .patience_seconds = 60}, [&](Communicator& comm) {
      auto& mine = models[static_cast<size_t>(comm.rank())];
      mine = std::make_unique<TextModel>(
          text_model_folder(), 1, Device::kCpu, true,
          share_of_experts(load_config(text_model_folder()), n_ranks, comm.rank()));
      ExpertDispatcher dispatcher(comm);
      RankTurns turns(comm, dispatcher, mine->model);
      SpreadRank rank{comm, *mine, turns};
      const auto own =
          deal_out(comm, mine->arena, n_ranks, rank.leads() ? all : std::vector<NumberedRequest>());
      answer_requests(
          rank, own, how,
          [&](int64_t number, int32_t token) {
            const std::lock_guard lock(mutex);
            told[number].push_back(token);
            return true;
          },
          [&](int64_t number, const GenerateResult& result) {
            const std::lock_guard lock(mutex);
            EXPECT_TRUE(answered.emplace(number, result.tokens).second);
          });
    });
    const Tokens want = alone(all, how);
    EXPECT_EQ(answered, want) << n_ranks << " ranks";
    EXPECT_EQ(told, want) << n_ranks << " ranks";
  }
}

// A caller who wants no more of a request ends that one alone.
TEST(AnswerRequests, EndWhereTheCallerSays) {
  TextModel m(text_model_folder(), 1, Device::kCpu, true);
  const std::vector<NumberedRequest> all = some_requests(3);
  const AnswerHow how = sampled_with_drafts();
  Tokens want = alone(all, how);
  want[1].resize(2);
  run_thread_ranks({.n_ranks = 1}, [&](Communicator& comm) {
    SpreadRank rank{comm, m, local_turns()};
    std::map<int64_t, int> n_told;
    answer_requests(
        rank, all, how,
        [&](int64_t number, int32_t) { return !(number == 1 && ++n_told[number] == 2); },
        [&](int64_t number, const GenerateResult& result) {
          EXPECT_EQ(result.tokens, want[number]) << number;
          EXPECT_EQ(result.finish_reason, number == 1 ? "stop" : "length") << number;
        });
  });
}

}  // namespace
}  // namespace hadal::test
