// train/event_file.h: scalars in TensorBoard's event format.
//
// A file of TFRecords: u64 length, masked CRC32C of the length, data, masked CRC32C of the data,
// all little-endian. The data is one `Event` of tensorflow/core/util/event.proto, encoded by hand:
// five fields do not justify a protobuf library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hadal/io/append_file.h"

namespace hadal {

// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), RFC 3720 appendix B.4.
uint32_t crc32c(std::string_view data);
// rotate right by 15, add 0xA282EAD8: a CRC stored beside its data would otherwise confuse CRCs of
// it
uint32_t masked_crc32c(std::string_view data);

class EventFile {
 public:
  // Creates events.out.tfevents.<seconds>.<host>.<pid> in `folder`. `first_step` > 0 (a resumed
  // run) tells TensorBoard to drop what earlier files say about this step and later ones.
  EventFile(const std::string& folder, int64_t first_step);

  void scalars(int64_t step, double wall_time,
               const std::vector<std::pair<std::string, double>>& values);
  void sync() { file_.sync(); }
  const std::string& path() const { return file_.path(); }

 private:
  void record(std::string_view data);
  AppendFile file_;
};

}  // namespace hadal
