// CRC32C against published values, and the event file read back by a parser of its own.
#include "hadal/train/event_file.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>

#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

TEST(Crc32c, MatchesRfc3720AppendixB4) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
  std::string ascending, descending;
  for (int i = 0; i < 32; ++i) {
    ascending += static_cast<char>(i);
    descending += static_cast<char>(31 - i);
  }
  EXPECT_EQ(crc32c(ascending), 0x46DD794EU);
  EXPECT_EQ(crc32c(descending), 0x113FDB5CU);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
}

// Reads little-endian numbers and protobuf fields; fails the test on anything malformed.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool done() const { return at_ == bytes_.size(); }
  std::string_view take(size_t n) {
    EXPECT_LE(at_ + n, bytes_.size());
    const std::string_view part = bytes_.substr(at_, n);
    at_ += n;
    return part;
  }
  template <class T>
  T fixed() {
    T value{};
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = fixed<uint8_t>();
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  }

 private:
  std::string_view bytes_;
  size_t at_ = 0;
};

struct ParsedEvent {
  double wall_time = 0;
  int64_t step = 0;
  std::string version;
  uint64_t session_status = 0;
  std::vector<std::pair<std::string, float>> scalars;
};

ParsedEvent parse_event(std::string_view bytes) {
  ParsedEvent event;
  Reader reader(bytes);
  while (!reader.done()) {
    switch (const uint64_t key = reader.varint()) {
      case 1 << 3 | 1:
        event.wall_time = std::bit_cast<double>(reader.fixed<uint64_t>());
        break;
      case 2 << 3:
        event.step = static_cast<int64_t>(reader.varint());
        break;
      case 3 << 3 | 2:
        event.version = reader.take(reader.varint());
        break;
      case 5 << 3 | 2: {
        Reader summary(reader.take(reader.varint()));
        while (!summary.done()) {
          EXPECT_EQ(summary.varint(), 1U << 3 | 2U);
          Reader value(summary.take(summary.varint()));
          EXPECT_EQ(value.varint(), 1U << 3 | 2U);
          const std::string tag(value.take(value.varint()));
          EXPECT_EQ(value.varint(), 2U << 3 | 5U);
          event.scalars.emplace_back(tag, std::bit_cast<float>(value.fixed<uint32_t>()));
        }
        break;
      }
      case 7 << 3 | 2: {
        Reader session(reader.take(reader.varint()));
        EXPECT_EQ(session.varint(), 1U << 3);
        event.session_status = session.varint();
        break;
      }
      default:
        ADD_FAILURE() << "unexpected key " << key;
        return event;
    }
  }
  return event;
}

std::vector<ParsedEvent> parse_file(const std::string& path) {
  const std::string bytes = test::read_bytes(path);
  Reader reader(bytes);
  std::vector<ParsedEvent> events;
  while (!reader.done()) {
    const std::string_view length = reader.take(8);
    EXPECT_EQ(reader.fixed<uint32_t>(), masked_crc32c(length));
    Reader length_reader(length);
    const std::string_view data = reader.take(length_reader.fixed<uint64_t>());
    EXPECT_EQ(reader.fixed<uint32_t>(), masked_crc32c(data));
    events.push_back(parse_event(data));
  }
  return events;
}

TEST(EventFile, HoldsTheScalars) {
  const test::TemporaryFolder folder;
  std::string path;
  {
    EventFile file(folder.path(), 0);
    path = file.path();
    file.scalars(1, 1234.5, {{"train/loss", 5.5}, {"train/grad_norm", 0.25}});
    file.scalars(300, 1235.5, {{"val/bpb", 2.0}});
  }
  const auto events = parse_file(path);
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].version, "brain.Event:2");
  EXPECT_EQ(events[1].wall_time, 1234.5);
  EXPECT_EQ(events[1].step, 1);
  const std::vector<std::pair<std::string, float>> want = {{"train/loss", 5.5F},
                                                           {"train/grad_norm", 0.25F}};
  EXPECT_EQ(events[1].scalars, want);
  EXPECT_EQ(events[2].step, 300);
}

TEST(EventFile, TellsWhereAResumedRunStarts) {
  const test::TemporaryFolder folder;
  std::string path;
  {
    EventFile file(folder.path(), 41);
    path = file.path();
  }
  const auto events = parse_file(path);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[1].step, 41);
  EXPECT_EQ(events[1].session_status, 1U);
}

TEST(MaskedCrc32c, IsRotatedAndOffset) {
  const uint32_t crc = crc32c("abc");
  EXPECT_EQ(masked_crc32c("abc"), ((crc >> 15) | (crc << 17)) + 0xA282EAD8U);
}

}  // namespace
}  // namespace hadal
