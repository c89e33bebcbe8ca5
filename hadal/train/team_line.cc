#include "hadal/train/team_line.h"

#include "hadal/comm/wait_patiently.h"

namespace hadal {
namespace {

constexpr int64_t kTag = 0;
constexpr int kLeader = 0;

template <class T>
Tensor message_of(Arena& arena, DType dtype, const T* values, size_t n) {
  Tensor message = Tensor::empty(arena, dtype, {static_cast<int64_t>(n)});
  if (n > 0) message.read_from(values);
  return message;
}

Tensor hear_message(Communicator& world, Arena& arena, DType dtype) {
  Receipt receipt = world.receive(kLeader, kTag, {dtype, {-1}}, arena);
  wait_patiently(receipt);
  return receipt.wait();
}

std::vector<int32_t> hear_ids(Communicator& world, Arena& arena) {
  const Tensor message = hear_message(world, arena, DType::kI32);
  const std::span<const int32_t> ids = message.flat<int32_t>();
  return {ids.begin(), ids.end()};
}

}  // namespace

void tell(Communicator& world, Arena& arena, const TeamCommand& command) {
  Json header = command.what;
  header["batches"] = Json::array();
  for (const Batch& batch : command.batches) {
    header["batches"].push_back(
        Json(Json::Object{{"n_sequences", batch.n_sequences}, {"length", batch.length}}));
  }
  const std::string text = header.dump();
  for (int to = 1; to < world.n_ranks(); ++to) {
    world.send(to, kTag, message_of(arena, DType::kU8, text.data(), text.size()));
    for (const Batch& batch : command.batches) {
      for (const std::vector<int32_t>* ids : {&batch.tokens, &batch.targets}) {
        world.send(to, kTag, message_of(arena, DType::kI32, ids->data(), ids->size()));
      }
    }
  }
}

TeamCommand hear(Communicator& world, Arena& arena) {
  const Tensor message = hear_message(world, arena, DType::kU8);
  const std::span<const uint8_t> bytes = message.flat<uint8_t>();
  TeamCommand command;
  command.what = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "command");
  for (const Json& each : command.what.at("batches").as_array()) {
    Batch batch;
    batch.n_sequences = each.at("n_sequences").as_integer();
    batch.length = each.at("length").as_integer();
    batch.tokens = hear_ids(world, arena);
    batch.targets = hear_ids(world, arena);
    command.batches.push_back(std::move(batch));
  }
  return command;
}

}  // namespace hadal
