#include "hadal/spread/sequence_transfer.h"

#include <algorithm>

namespace hadal {
namespace {

constexpr int64_t kSequenceTag = 3;

Tensor header_message(Arena& arena, std::span<const std::byte> bytes) {
  Tensor message = Tensor::empty(arena, DType::kU8, {std::ssize(bytes)});
  if (!bytes.empty()) message.read_from(bytes.data());
  return message;
}

}  // namespace

int64_t send_sequence(Communicator& world, Arena& arena, int to, HandedOver request) {
  const std::vector<std::byte> header = bytes_of(request);
  int64_t bytes = std::ssize(header) + request.state.pages.bytes();
  world.send(to, kSequenceTag, header_message(arena, header));
  world.send(to, kSequenceTag, std::move(request.state.pages));
  for (SequenceState::Waiting& waiting : request.state.waiting) {
    if (!waiting.rows.has_data()) continue;
    bytes += waiting.rows.bytes();
    world.send(to, kSequenceTag, std::move(waiting.rows));
  }
  return bytes;
}

void send_last(Communicator& world, Arena& arena, int to) {
  world.send(to, kSequenceTag, header_message(arena, {}));
}

SequenceInbox::SequenceInbox(Communicator& world, Arena& arena, const std::vector<int>& senders)
    : world_(world), arena_(arena) {
  for (const int from : senders) {
    Door door;
    door.from = from;
    door.header = next_header(from);
    doors_.push_back(std::move(door));
  }
}

Receipt SequenceInbox::next_header(int from) {
  return world_.receive(from, kSequenceTag, {DType::kU8, {-1}}, arena_);
}

bool SequenceInbox::begin(Door& door) {
  const Tensor header = door.header.wait();
  if (header.size() == 0) return false;
  std::vector<RowsForm> forms;
  door.coming = request_from(std::as_bytes(header.flat<uint8_t>()), forms);
  for (size_t i = 0; i < forms.size(); ++i) {
    if (i > 0 && forms[i][0] == 0) continue;
    const MessageForm form{i == 0 ? DType::kU8 : DType::kF32, {forms[i][0], forms[i][1]}};
    door.tensors.emplace_back(i, world_.receive(door.from, kSequenceTag, form, arena_));
  }
  return true;
}

void SequenceInbox::complete(Door& door) {
  for (auto& [place, receipt] : door.tensors) {
    SequenceState& state = door.coming->state;
    (place == 0 ? state.pages : state.waiting[place - 1].rows) = receipt.wait();
  }
  door.tensors.clear();
  door.header = next_header(door.from);
}

std::vector<HandedOver> SequenceInbox::arrived() {
  std::vector<HandedOver> all;
  std::erase_if(doors_, [&](Door& door) {
    for (;;) {
      if (!door.coming) {
        if (!door.header.arrived()) return false;
        if (!begin(door)) return true;
      }
      if (!std::ranges::all_of(door.tensors, [](auto& each) { return each.second.arrived(); })) {
        return false;
      }
      complete(door);
      all.push_back(*std::exchange(door.coming, std::nullopt));
    }
  });
  return all;
}

}  // namespace hadal
