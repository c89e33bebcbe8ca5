#include "hadal/train/event_file.h"

#include <unistd.h>

#include <array>
#include <bit>

#include "hadal/core/clock.h"
#include "hadal/core/error.h"
#include "hadal/core/host_name.h"
#include "hadal/io/atomic_write.h"

namespace hadal {
namespace {

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78U : 0U);
    table[byte] = crc;
  }
  return table;
}

template <class T>
void put_fixed(std::string& out, T value) {  // little-endian
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

// Protobuf keys are field << 3 | wire type.
enum Wire : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
void put_key(std::string& out, uint64_t field, Wire wire) { put_varint(out, field << 3 | wire); }
void put_bytes(std::string& out, uint64_t field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

// Event: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7
std::string event_header(double wall_time, int64_t step) {
  std::string event;
  put_key(event, 1, kFixed64);
  put_fixed(event, std::bit_cast<uint64_t>(wall_time));
  put_key(event, 2, kVarint);
  put_varint(event, static_cast<uint64_t>(step));
  return event;
}

std::string path_in(const std::string& folder) {
  make_folders(folder);
  return concat(folder, "/events.out.tfevents.", static_cast<int64_t>(unix_seconds()), ".",
                host_name(), ".", getpid());
}

}  // namespace

uint32_t crc32c(std::string_view data) {
  static constexpr std::array<uint32_t, 256> kTable = make_table();
  uint32_t crc = 0xFFFFFFFFU;
  for (const char c : data) crc = crc >> 8 ^ kTable[(crc ^ static_cast<uint8_t>(c)) & 0xFF];
  return ~crc;
}

uint32_t masked_crc32c(std::string_view data) { return std::rotr(crc32c(data), 15) + 0xA282EAD8U; }

EventFile::EventFile(const std::string& folder, int64_t first_step) : file_(path_in(folder)) {
  std::string version = event_header(unix_seconds(), 0);
  put_bytes(version, 3, "brain.Event:2");
  record(version);
  if (first_step > 0) {
    std::string start = event_header(unix_seconds(), first_step);
    std::string session;  // SessionLog: status = 1, START = 1
    put_key(session, 1, kVarint);
    put_varint(session, 1);
    put_bytes(start, 7, session);
    record(start);
  }
}

void EventFile::scalars(int64_t step, double wall_time,
                        const std::vector<std::pair<std::string, double>>& values) {
  std::string summary;
  for (const auto& [name, number] : values) {
    std::string value;  // Summary.Value: tag = 1, simple_value = 2
    put_bytes(value, 1, name);
    put_key(value, 2, kFixed32);
    put_fixed(value, std::bit_cast<uint32_t>(static_cast<float>(number)));
    put_bytes(summary, 1, value);
  }
  std::string event = event_header(wall_time, step);
  put_bytes(event, 5, summary);
  record(event);
}

void EventFile::record(std::string_view data) {
  std::string out;
  put_fixed(out, static_cast<uint64_t>(data.size()));
  put_fixed(out, masked_crc32c(out));
  out += data;
  put_fixed(out, masked_crc32c(data));
  file_.write(out);
}

}  // namespace hadal
