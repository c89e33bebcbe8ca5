#include "hadal/io/safetensors_header.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "hadal/core/checked_math.h"
#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/json.h"
#include "hadal/io/model_files.h"

namespace hadal {
namespace {

constexpr std::string_view kBroken = "; the file is cut, damaged or not safetensors";

// Keeps only what the format knows; members of a tensor that it does not know are skipped, as the
// reference implementation does.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  SafetensorsHeader header;
  std::string error;

  bool null() override { return scalar("null"); }
  bool boolean(bool) override { return scalar("a boolean"); }
  bool number_integer(number_integer_t) override { return scalar("a negative number"); }
  bool number_float(number_float_t, const string_t& text) override {
    return scalar("the number " + text.substr(0, 40));
  }
  bool binary(binary_t&) override { return fail("binary value"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::kShape && place_ != Place::kOffsets) return scalar("a number");
    if (value > uint64_t{INT64_MAX}) return tensor_fail("number too large");
    if (place_ == Place::kShape) {
      if (tensor_.shape.size() == Shape::kMaxRank) {
        return tensor_fail(concat("shape has more than ", Shape::kMaxRank, " axes"));
      }
      tensor_.shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (n_offsets_ == 2) return tensor_fail("data_offsets has more than two numbers");
    (n_offsets_++ == 0 ? tensor_.begin : tensor_.end) = static_cast<int64_t>(value);
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) {
      if (!header.metadata.emplace(key_, std::move(value)).second) {
        return fail("duplicate key " + in_quotes(key_) + " in __metadata__");
      }
      return true;
    }
    if (place_ != Place::kTensor || key_ != "dtype") return scalar("a string");
    const auto dtype = dtype_from_name(value);
    if (!dtype) return tensor_fail("unknown dtype " + in_quotes(value));
    if (std::exchange(has_dtype_, true)) return tensor_fail("duplicate key \"dtype\"");
    tensor_.dtype = *dtype;
    return true;
  }

  bool start_object(size_t) override {
    switch (place_) {
      case Place::kStart:
        place_ = Place::kTop;
        return true;
      case Place::kTop:
        if (key_ == "__metadata__") {
          if (std::exchange(has_metadata_, true)) return fail("duplicate key \"__metadata__\"");
          place_ = Place::kMetadata;
          return true;
        }
        tensor_ = TensorInfo{};
        tensor_.name = key_;
        has_dtype_ = has_shape_ = has_offsets_ = false;
        n_offsets_ = 0;
        place_ = Place::kTensor;
        return true;
      default:
        return open_skipped("an object");
    }
  }

  bool end_object() override {
    switch (place_) {
      case Place::kTop:
        place_ = Place::kEnd;
        return true;
      case Place::kMetadata:
        place_ = Place::kTop;
        return true;
      case Place::kTensor:
        if (!has_dtype_ || !has_shape_ || !has_offsets_) {
          return tensor_fail(std::string("missing key ") + (!has_dtype_   ? "\"dtype\""
                                                            : !has_shape_ ? "\"shape\""
                                                                          : "\"data_offsets\""));
        }
        header.tensors.push_back(std::move(tensor_));
        place_ = Place::kTop;
        return true;
      default:
        return close_skipped();
    }
  }

  bool start_array(size_t) override {
    if (place_ == Place::kTensor && key_ == "shape") {
      if (std::exchange(has_shape_, true)) return tensor_fail("duplicate key \"shape\"");
      place_ = Place::kShape;
      return true;
    }
    if (place_ == Place::kTensor && key_ == "data_offsets") {
      if (std::exchange(has_offsets_, true)) return tensor_fail("duplicate key \"data_offsets\"");
      place_ = Place::kOffsets;
      return true;
    }
    return open_skipped("an array");
  }

  bool end_array() override {
    if (place_ == Place::kShape) {
      place_ = Place::kTensor;
      return true;
    }
    if (place_ == Place::kOffsets) {
      if (n_offsets_ != 2) return tensor_fail("data_offsets needs two numbers");
      place_ = Place::kTensor;
      return true;
    }
    return close_skipped();
  }

  bool key(string_t& value) override {
    if (place_ != Place::kSkipped) key_ = std::move(value);
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return fail(concat("not valid UTF-8 JSON at byte ", position));
  }

 private:
  enum class Place { kStart, kTop, kMetadata, kTensor, kShape, kOffsets, kSkipped, kEnd };

  bool fail(std::string why) {
    error = std::move(why);
    return false;
  }
  bool tensor_fail(const std::string& why) { return fail(in_quotes(tensor_.name) + ": " + why); }

  // A value that is none of those handled above: fine in an unknown member of a tensor only.
  bool scalar(const std::string& found) {
    if (place_ == Place::kSkipped || (place_ == Place::kTensor && !is_known())) return true;
    return wrong(found);
  }
  bool wrong(const std::string& found) {
    switch (place_) {
      case Place::kStart:
        return fail("the header is " + found + ", expected an object");
      case Place::kTop:
        return fail(in_quotes(key_) + " is " + found + ", expected an object");
      case Place::kMetadata:
        return fail("__metadata__ " + in_quotes(key_) + " is " + found + ", expected a string");
      case Place::kShape:
        return tensor_fail("shape holds " + found + ", expected whole numbers");
      case Place::kOffsets:
        return tensor_fail("data_offsets holds " + found + ", expected whole numbers");
      default:
        return tensor_fail(key_ + " is " + found);
    }
  }
  bool is_known() const { return key_ == "dtype" || key_ == "shape" || key_ == "data_offsets"; }
  bool open_skipped(const char* found) {
    if (place_ == Place::kSkipped || (place_ == Place::kTensor && !is_known())) {
      if (++depth_ > 64) return fail("nested deeper than 64 levels");
      place_ = Place::kSkipped;
      return true;
    }
    return wrong(found);
  }
  bool close_skipped() {
    if (--depth_ == 0) place_ = Place::kTensor;
    return true;
  }

  Place place_ = Place::kStart;
  int depth_ = 0;
  std::string key_;
  bool has_metadata_ = false;
  TensorInfo tensor_;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  int n_offsets_ = 0;
};

// By sorting, not hashing: names chosen to collide must not make this slow.
void check_names_differ(const std::vector<TensorInfo>& tensors, const std::string& source) {
  std::vector<const std::string*> names;
  names.reserve(tensors.size());
  for (const TensorInfo& info : tensors) names.push_back(&info.name);
  std::sort(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a < *b; });
  const auto twice = std::adjacent_find(names.begin(), names.end(),
                                        [](const auto* a, const auto* b) { return *a == *b; });
  if (twice != names.end()) {
    throw FormatError(concat(source, ": tensor ", in_quotes(**twice), " is there twice", kBroken));
  }
}

// Sizes agree with shapes, and the tensors tile the buffer: no gap, no overlap, nothing left over.
void check_layout(std::vector<TensorInfo>& tensors, int64_t buffer_bytes,
                  const std::string& source) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  int64_t expected_begin = 0;
  for (const TensorInfo& info : tensors) {
    const auto where = [&] { return concat(source, ": tensor ", in_quotes(info.name), ": "); };
    std::optional<int64_t> bytes = dtype_bytes(info.dtype);
    for (const int64_t extent : info.shape) bytes = bytes ? checked_mul(*bytes, extent) : bytes;
    if (!bytes) throw FormatError(concat(where(), "its shape overflows 64 bits", kBroken));
    if (info.end < info.begin || info.end > buffer_bytes) {
      throw FormatError(concat(where(), "data lies outside of the file (found bytes ", info.begin,
                               " to ", info.end, ", expected at most ", buffer_bytes, ")",
                               kBroken));
    }
    if (info.end - info.begin != *bytes) {
      throw FormatError(concat(where(), "data does not fit the shape (found ",
                               info.end - info.begin, " bytes, expected ", *bytes, ")", kBroken));
    }
    if (info.begin != expected_begin) {
      throw FormatError(concat(
          where(),
          info.begin < expected_begin ? "overlaps another tensor" : "a gap lies before its data",
          " (found begin ", info.begin, ", expected ", expected_begin, ")", kBroken));
    }
    expected_begin = info.end;
  }
  if (expected_begin != buffer_bytes) {
    throw FormatError(concat(source, ": data behind the last tensor (found ", buffer_bytes,
                             " bytes of data, expected ", expected_begin, ")", kBroken));
  }
}

}  // namespace

int64_t stored_bytes(const TensorInfo& info) {
  int64_t bytes = dtype_bytes(info.dtype);
  for (const int64_t extent : info.shape) bytes *= extent;
  return bytes;
}

SafetensorsHeader parse_safetensors(std::string_view file, const std::string& source) {
  if (file.size() < 8) {
    refuse_foreign_format(file, source, "safetensors");
    throw FormatError(concat(source, ": too short for safetensors (found ", file.size(),
                             " bytes, expected at least 8)", kBroken));
  }
  uint64_t length = 0;
  for (size_t i = 0; i < 8; ++i) {
    length |= uint64_t{static_cast<unsigned char>(file[i])} << (8 * i);
  }
  const uint64_t longest = std::min<uint64_t>(kMaxSafetensorsHeader, file.size() - 8);
  if (length > longest) {
    refuse_foreign_format(file, source, "safetensors");
    throw FormatError(concat(source, ": safetensors header too long (found ", length,
                             " bytes, expected at most ", longest, ")", kBroken));
  }
  const std::string_view text = file.substr(8, length);
  if (text.empty() || text.front() != '{') {
    throw FormatError(concat(source, ": safetensors header does not start with '{'", kBroken));
  }
  // The parser below takes a zero byte for the end and line ends for padding; the format does not.
  const size_t last = text.find_last_not_of(' ');
  if (text[last] != '}' || text.find('\0') != std::string_view::npos) {
    throw FormatError(
        concat(source, ": safetensors header does not end with '}' and spaces", kBroken));
  }
  HeaderReader reader;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &reader)) {
    throw FormatError(concat(source, ": safetensors header: ", reader.error, kBroken));
  }
  reader.header.data_offset = static_cast<int64_t>(8 + length);
  check_names_differ(reader.header.tensors, source);
  check_layout(reader.header.tensors, static_cast<int64_t>(file.size() - 8 - length), source);
  return std::move(reader.header);
}

std::string safetensors_header_text(const std::vector<TensorInfo>& tensors,
                                    const std::map<std::string, std::string>& metadata) {
  // Put together by hand: a tree of 90,000 tensors would cost far more than its text.
  std::string text = "{";
  if (!metadata.empty()) {
    Json object = Json::object();
    for (const auto& [key, value] : metadata) object[key] = value;
    text += "\"__metadata__\":" + object.dump();
  }
  int64_t offset = 0;
  for (const TensorInfo& info : tensors) {
    if (text.size() > 1) text += ',';
    text += Json(info.name).dump() + ":{\"dtype\":\"" + std::string(dtype_name(info.dtype)) +
            "\",\"shape\":" + shape_text(info.shape) + ",\"data_offsets\":[" +
            std::to_string(offset) + ",";
    offset += stored_bytes(info);
    text += std::to_string(offset) + "]}";
  }
  text += '}';
  text.resize(static_cast<size_t>(round_up(static_cast<int64_t>(text.size()), 8)), ' ');
  std::string length(8, '\0');
  for (size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 0xFF);
  return length + text;
}

}  // namespace hadal
