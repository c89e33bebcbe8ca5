// io/safetensors: what is written is read back, and every rule of docs/formats.md is enforced.
#include "hadal/io/safetensors.h"

#include <cstring>

#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

// A whole file: length, header, data.
std::string file_of(const std::string& header, size_t data_bytes) {
  std::string file(8, '\0');
  for (size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return file + header + std::string(data_bytes, '\1');
}

std::string refusal(const std::string& file) {
  try {
    parse_safetensors(file, "f");
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

Tensor numbers(Arena& arena, DType dtype, const Tensor::Shape& shape) {
  Tensor tensor = Tensor::empty(arena, dtype, shape);
  auto* bytes = static_cast<unsigned char*>(tensor.raw());
  for (int64_t i = 0; i < tensor.bytes(); ++i) bytes[i] = static_cast<unsigned char>(7 * i + 3);
  return tensor;
}

TEST(SafetensorsTest, ReadsBackEveryTypeAndShape) {
  const TemporaryFolder folder;
  Arena arena;
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (int i = 0; i <= static_cast<int>(DType::kU64); ++i) {
    const auto dtype = static_cast<DType>(i);
    tensors.emplace_back(concat("t", i), numbers(arena, dtype, {3, 5}));
  }
  tensors.emplace_back("scalar", numbers(arena, DType::kF32, {}));
  tensors.emplace_back("none", numbers(arena, DType::kF64, {0, 7}));
  tensors.emplace_back("a \"name\"\n\xC3\xA9", numbers(arena, DType::kU8, {1}));
  std::vector<std::pair<std::string, const Tensor*>> list;
  for (const auto& [name, tensor] : tensors) list.emplace_back(name, &tensor);
  write_safetensors(folder / "f", list, {{"format", "pt"}, {"quote", "\"\\"}});

  const SafetensorsFile file = SafetensorsFile::open(folder / "f");
  EXPECT_EQ(file.tensors().size(), tensors.size());
  EXPECT_EQ(file.metadata().at("quote"), "\"\\");
  for (const auto& [name, want] : tensors) {
    const TensorInfo* info = file.find(name);
    ASSERT_NE(info, nullptr) << name;
    const Tensor got = file.tensor(*info);
    EXPECT_EQ(got.dtype(), want.dtype()) << name;
    EXPECT_EQ(got.shape(), want.shape()) << name;
    EXPECT_EQ(std::memcmp(got.raw(), want.raw(), static_cast<size_t>(want.bytes())), 0) << name;
    EXPECT_EQ(
        reinterpret_cast<uintptr_t>(got.raw()) % static_cast<uintptr_t>(dtype_bytes(want.dtype())),
        0U);
  }
  EXPECT_EQ(file.find("absent"), nullptr);
}

TEST(SafetensorsTest, DataStartsAtAMultipleOfEight) {
  for (const std::string name : {"a", "ab", "abc", "abcd", "abcde"}) {
    const std::string header =
        safetensors_header_text({{.name = name, .dtype = DType::kU8, .shape = {1}}}, {});
    EXPECT_EQ(header.size() % 8, 0U);
    EXPECT_EQ(refusal(header + "x"), "");
  }
}

TEST(SafetensorsTest, MisalignedDataIsReadable) {
  const TemporaryFolder folder;
  std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  while ((8 + header.size()) % 4 != 1) header += ' ';
  std::string file = file_of(header, 4);
  const float value = 1.5F;
  std::memcpy(file.data() + file.size() - 4, &value, 4);
  const SafetensorsFile opened = SafetensorsFile::open(folder.write("f", file));
  const Tensor tensor = opened.tensor(*opened.find("a"));
  EXPECT_EQ(tensor.flat<float>()[0], 1.5F);
}

TEST(SafetensorsTest, ATensorOutlivesItsFile) {
  const TemporaryFolder folder;
  const std::string path =
      folder.write("f", file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2));
  Tensor tensor;
  {
    const SafetensorsFile file = SafetensorsFile::open(path);
    tensor = file.tensor(*file.find("a"));
  }
  EXPECT_EQ(std::as_const(tensor).flat<uint8_t>()[1], 1);
}

TEST(SafetensorsTest, AcceptsWhatTheFormatAllows) {
  const std::pair<std::string, size_t> legal[] = {
      {"{}", 0},
      {"{}   ", 0},
      {R"({"__metadata__":{}})", 0},
      {R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1},
      {R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1},
      {R"({"a":{"dtype":"F64","shape":[0],"data_offsets":[0,0]}})", 0},
      {R"({"a":{"dtype":"F64","shape":[0,4611686018427387904],"data_offsets":[0,0]}})", 0},
      // in any order, and with members of a later version
      {R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2],"x":{"y":[1,null,{"z":1.5}]}},)"
       R"("a":{"data_offsets":[0,1],"shape":[1],"dtype":"U8"}})",
       2},
  };
  for (const auto& [header, bytes] : legal)
    EXPECT_EQ(refusal(file_of(header, bytes)), "") << header;
}

struct Hostile {
  const char* header;
  size_t data_bytes;
  const char* reason;  // must stand in the message
};

TEST(SafetensorsTest, RefusesWhatTheFormatForbids) {
  const Hostile table[] = {
      {"", 0, "does not start with '{'"},
      {" {}", 0, "does not start with '{'"},
      {"[]", 0, "does not start with '{'"},
      {"{}\n", 0, "does not end"},
      {"{}x", 0, "does not end"},
      {"{", 0, "does not end"},
      {"{}{}", 0, "not valid UTF-8 JSON"},
      {"{\"a\":}", 0, "not valid UTF-8 JSON"},
      {"{\"\xFF\":{}}", 0, "not valid UTF-8 JSON"},
      {"{\"\xED\xA0\x80\":{}}", 0, "not valid UTF-8 JSON"},
      {R"({"a":1})", 0, "expected an object"},
      {R"({"a":[]})", 0, "expected an object"},
      {R"({"a":null})", 0, "expected an object"},
      {R"({"__metadata__":{"k":1}})", 0, "expected a string"},
      {R"({"__metadata__":{"k":null}})", 0, "expected a string"},
      {R"({"__metadata__":{"k":{}}})", 0, "expected a string"},
      {R"({"__metadata__":{"k":"1","k":"2"}})", 0, "duplicate key"},
      {R"({"__metadata__":[]})", 0, "expected an object"},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, "duplicate key"},
      {R"({"a":{}})", 0, "missing key \"dtype\""},
      {R"({"a":{"dtype":"U8"}})", 0, "missing key \"shape\""},
      {R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1,
       "shape has more than 8 axes"},
      {R"({"a":{"dtype":"U8","shape":[1]}})", 1, "missing key \"data_offsets\""},
      {R"({"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}})", 1, "unknown dtype"},
      {R"({"a":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}})", 4, "unknown dtype"},
      {R"({"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})", 1, "dtype is a number"},
      {R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1, "duplicate key"},
      {R"({"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", 1, "duplicate key"},
      {R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1, "shape is a number"},
      {R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1, "a negative number"},
      {R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1, "the number 1.0"},
      {R"({"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1, "a string"},
      {R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1, "an array"},
      {R"({"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1]}})", 1,
       "too large"},
      {R"({"a":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,1]}})", 1,
       "whole numbers"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1, "two numbers"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}})", 1, "two numbers"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", 1, "a negative number"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":{}}})", 1, "data_offsets is an object"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1, "outside of the file"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 1, "outside of the file"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}})", 1, "does not fit the shape"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1]}})", 1, "does not fit the shape"},
      {R"({"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0,
       "overflows"},
      {R"({"a":{"dtype":"U8","shape":[4611686018427387904,4,0],"data_offsets":[0,0]}})", 0,
       "overflows"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2, "a gap"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
       R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3, "overlaps"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
       R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
       3, "a gap"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 2, "behind the last tensor"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
       R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
       2, "is there twice"},
      {R"({"a":{"x":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[)"
       R"(]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}})",
       0, "nested deeper"},
  };
  for (const Hostile& hostile : table) {
    const std::string message = refusal(file_of(hostile.header, hostile.data_bytes));
    EXPECT_NE(message.find(hostile.reason), std::string::npos)
        << hostile.header << "\n  " << message << "\n  expected: " << hostile.reason;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

TEST(SafetensorsTest, RefusesLengthsThatLie) {
  EXPECT_NE(refusal(""), "");
  EXPECT_NE(refusal("1234567"), "");
  EXPECT_NE(refusal(std::string(8, '\0')), "");
  EXPECT_NE(refusal(std::string(8, '\xFF') + "{}"), "");
  std::string one_too_long = file_of("{}", 0);
  one_too_long[0] = 3;
  EXPECT_NE(refusal(one_too_long), "");
  const std::string zero_byte = std::string("{}\0}", 4);
  EXPECT_NE(refusal(file_of(zero_byte, 0)), "");
}

TEST(SafetensorsTest, RefusesEveryTruncationOfAFile) {
  const std::string whole =
      file_of(R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})", 16);
  EXPECT_EQ(refusal(whole), "");
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(refusal(whole.substr(0, length)), "") << length;
  }
}

TEST(SafetensorsTest, MessagesStayShortAndOnOneLine) {
  const std::string name(10000, 'n');
  const std::string message = refusal(file_of("{\"" + name + "\\n\":7}", 0));
  EXPECT_LT(message.size(), 400U);
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

// 200,000 tensors, twice DeepSeek-V3's: time and memory grow with the header, not with its square.
TEST(SafetensorsTest, AHugeHeaderIsReadOrRefused) {
  std::string header = "{";
  while (header.size() < 12'000'000) {
    header += concat('"', header.size(), R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)");
  }
  header += R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  EXPECT_EQ(refusal(file_of(header, 1)), "");
  EXPECT_NE(refusal(file_of(header, 0)), "");
}

class IndexTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.write("one.safetensors",
                  file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
    folder_.write("two.safetensors",
                  file_of(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                          R"("extra":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                          3));
  }
  std::string refusal_of(const std::string& index) {
    folder_.write("model.safetensors.index.json", index);
    try {
      TensorSource::open(folder_.path());
    } catch (const FormatError& error) {
      return error.what();
    }
    return "";
  }
  TemporaryFolder folder_;
};

TEST_F(IndexTest, FindsTensorsAcrossFilesAndIgnoresWhatIsNotMapped) {
  EXPECT_EQ(refusal_of(R"({"metadata":{"total_size":3},"weight_map":)"
                       R"({"a":"one.safetensors","b":"two.safetensors"}})"),
            "");
  const TensorSource source = TensorSource::open(folder_.path());
  EXPECT_EQ(source.entries().size(), 2U);
  EXPECT_EQ(source.tensor(*source.find("b")).size(), 2);
  EXPECT_EQ(source.find("extra"), nullptr);
}

TEST_F(IndexTest, RefusesWhatLeadsNowhereOrOutside) {
  const std::string outside[] = {R"({"weight_map":{"a":"../one.safetensors"}})",
                                 R"({"weight_map":{"a":"/etc/passwd"}})",
                                 R"({"weight_map":{"a":"x/one.safetensors"}})",
                                 R"({"weight_map":{"a":"x\\one.safetensors"}})",
                                 R"({"weight_map":{"a":".."}})",
                                 R"({"weight_map":{"a":""}})",
                                 R"({"weight_map":{"a":"one.safetensors\u0000"}})"};
  for (const std::string& index : outside) {
    EXPECT_NE(refusal_of(index).find("a file of the same folder"), std::string::npos) << index;
  }
  EXPECT_NE(refusal_of(R"({"weight_map":{"b":"one.safetensors"}})"), "");
  EXPECT_NE(refusal_of(R"({"weight_map":{"a":"three.safetensors"}})"), "");
  EXPECT_NE(refusal_of(R"({"weight_map":{"a":1}})"), "");
  EXPECT_NE(refusal_of(R"({"weight_map":[]})"), "");
  EXPECT_NE(refusal_of(R"({"weight_map":{}})"), "");
  EXPECT_NE(refusal_of(R"({})"), "");
  EXPECT_NE(refusal_of(R"([])"), "");
  EXPECT_NE(refusal_of(""), "");
  EXPECT_NE(refusal_of(R"({"weight_map":{"a":"one.safetensors","a":"two.safetensors"}})"), "");
}

TEST(TensorSourceTest, RefusesAFolderWithoutWeights) {
  const TemporaryFolder folder;
  expect_refused<FormatError>([&] { TensorSource::open(folder.path()); },
                              folder.path() + ": no weights in this folder");
  const std::string absent = folder / "absent.safetensors";
  expect_refused<FormatError>([&] { TensorSource::open(absent); }, absent + ": cannot be opened (");
}

}  // namespace
}  // namespace hadal::test
