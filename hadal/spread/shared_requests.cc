#include "hadal/spread/shared_requests.h"

#include <algorithm>

#include "hadal/comm/wait_patiently.h"
#include "hadal/core/json.h"

namespace hadal {
namespace {

constexpr int kReader = 0;
constexpr int64_t kRequestsTag = 1, kAnswersTag = 2;

template <class T>
Tensor message_of(Arena& arena, DType dtype, const T& values) {
  Tensor message = Tensor::empty(arena, dtype, {static_cast<int64_t>(values.size())});
  if (!values.empty()) message.read_from(values.data());
  return message;
}

Tensor hear(Communicator& world, Arena& arena, int from, int64_t tag, DType dtype) {
  Receipt receipt = world.receive(from, tag, {dtype, {-1}}, arena);
  wait_patiently(receipt);
  return receipt.wait();
}

// How many there are, the longest context; then number, max_tokens, length and ids of one after the other.
std::vector<int32_t> packed(const std::vector<NumberedRequest>& all, int taker, int n_takers) {
  int64_t context = 0;
  for (const NumberedRequest& request : all) {
    context = std::max(context, std::ssize(request.prompt) + request.max_tokens);
  }
  std::vector<int32_t> values = {static_cast<int32_t>(all.size()), static_cast<int32_t>(context)};
  for (const NumberedRequest& request : all) {
    if (request.number % n_takers != taker) continue;
    for (const int64_t value :
         {request.number, request.max_tokens, static_cast<int64_t>(request.prompt.size())}) {
      values.push_back(static_cast<int32_t>(value));
    }
    values.insert(values.end(), request.prompt.begin(), request.prompt.end());
  }
  return values;
}

DealtRequests unpacked(std::span<const int32_t> values) {
  DealtRequests dealt{{}, values[0], values[1]};
  for (values = values.subspan(2); !values.empty();) {
    const auto length = static_cast<size_t>(values[2]);
    const auto prompt = values.subspan(3, length);
    dealt.own.push_back({values[0], {prompt.begin(), prompt.end()}, values[1]});
    values = values.subspan(3 + length);
  }
  return dealt;
}

}  // namespace

DealtRequests deal_out(Communicator& world, Arena& arena, int n_takers,
                       const std::vector<NumberedRequest>& all) {
  for (int to = 0; world.rank() == kReader && to < world.n_ranks(); ++to) {
    world.send(to, kRequestsTag, message_of(arena, DType::kI32, packed(all, to, n_takers)));
  }
  return unpacked(hear(world, arena, kReader, kRequestsTag, DType::kI32).flat<int32_t>());
}

std::map<int64_t, std::string> gather_answers(Communicator& world, Arena& arena,
                                              const std::map<int64_t, std::string>& own) {
  if (world.rank() != kReader) {
    Json text = Json::object();
    for (const auto& [number, answer] : own) text[concat(number)] = answer;
    world.send(kReader, kAnswersTag, message_of(arena, DType::kU8, text.dump()));
    return {};
  }
  std::map<int64_t, std::string> all = own;
  for (int from = 0; from < world.n_ranks(); ++from) {
    if (from == kReader) continue;
    const Tensor message = hear(world, arena, from, kAnswersTag, DType::kU8);
    const std::span<const uint8_t> bytes = message.flat<uint8_t>();
    const Json text = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                                 concat("answers of rank ", from));
    for (const auto& [number, answer] : text.as_object()) {
      all.emplace(std::stoll(number), answer.as_string());
    }
  }
  return all;
}

}  // namespace hadal
