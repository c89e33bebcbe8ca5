// io/safetensors_header: tensors that are accepted tile the data buffer. The first two bytes choose
// between a whole file and a header, which gets a right length and a small buffer.
#include <string>

#include "fuzz/expect.h"
#include "hadal/io/safetensors_header.h"

namespace {

std::string with_header(std::string_view header, size_t data_bytes) {
  std::string file(8, '\0');
  for (size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return file.append(header).append(data_bytes, '\0');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hadal;
  if (size < 2) return 0;
  const std::string_view text = fuzz::as_text(data + 2, size - 2);
  const std::string file = data[0] & 1 ? with_header(text, data[1]) : std::string(text);
  fuzz::expect_value_or_error([&] {
    const SafetensorsHeader header = parse_safetensors(file, "input");
    int64_t end = 0;
    for (const TensorInfo& info : header.tensors) {
      fuzz::expect(info.begin == end && info.end - info.begin == stored_bytes(info));
      end = info.end;
    }
    fuzz::expect(header.data_offset + end == static_cast<int64_t>(file.size()));
    const std::string again = safetensors_header_text(header.tensors, header.metadata);
    const auto bytes = static_cast<size_t>(end);
    fuzz::expect(parse_safetensors(again + std::string(bytes, '\0'), "again").tensors.size() ==
                 header.tensors.size());
  });
  return 0;
}
