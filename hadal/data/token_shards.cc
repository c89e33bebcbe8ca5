#include "hadal/data/token_shards.h"

#include <xxhash.h>

#include <array>
#include <bit>
#include <cstdio>
#include <cstring>

#include "hadal/core/checked_math.h"
#include "hadal/core/error.h"
#include "hadal/data/packing.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

static_assert(std::endian::native == std::endian::little, "the files are little-endian");

constexpr std::array<char, 8> kMagic = {'H', 'A', 'D', 'A', 'L', 'T', 'O', 'K'};
constexpr uint32_t kVersion = 1;

struct Header {
  std::array<char, 8> magic;
  uint32_t version, token_bytes;
  uint64_t vocab_size, row_tokens, n_rows, tokenizer_hash, rows_hash;
  uint64_t header_hash;  // XXH3-64 of the bytes before it
};
static_assert(sizeof(Header) == 64);

uint64_t header_hash(const Header& header) {
  return XXH3_64bits(&header, offsetof(Header, header_hash));
}

// The largest value of the width marks padding, so it is no id.
int64_t width_for(int64_t vocab_size) { return vocab_size <= 0xFFFF ? 2 : 4; }

Header read_header(const MappedFile& file) {
  const std::string& path = file.path();
  const auto refuse = [&](const auto&... what) {
    throw FormatError(
        concat(path, ": ", what..., "; delete the folder and prepare the data again"));
  };
  const auto bytes = file.bytes();
  if (bytes.size() < sizeof(Header)) {
    refuse("too short for a token shard (found ", bytes.size(), " bytes, expected at least ",
           sizeof(Header), ")");
  }
  Header header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kMagic) refuse("not a token shard (its first bytes are wrong)");
  if (header.version != kVersion) {
    refuse("unknown version (found ", header.version, ", expected ", kVersion, ")");
  }
  if (header.header_hash != header_hash(header)) refuse("the header's checksum is wrong");
  constexpr uint64_t kLimit = uint64_t{1} << 40;
  if (header.vocab_size == 0 || header.vocab_size >= (uint64_t{1} << 31) ||
      header.token_bytes !=
          static_cast<uint64_t>(width_for(static_cast<int64_t>(header.vocab_size))) ||
      header.row_tokens < 2 || header.row_tokens > kLimit || header.n_rows > kLimit) {
    refuse("impossible sizes in the header");
  }
  const auto payload = checked_mul(static_cast<int64_t>(header.n_rows),
                                   static_cast<int64_t>(header.row_tokens * header.token_bytes));
  if (!payload || static_cast<uint64_t>(*payload) != bytes.size() - sizeof(Header)) {
    refuse("wrong length (found ", bytes.size() - sizeof(Header), " bytes of rows, expected ",
           header.n_rows, " rows of ", header.row_tokens, " tokens)");
  }
  if (XXH3_64bits(bytes.data() + sizeof(Header), bytes.size() - sizeof(Header)) !=
      header.rows_hash) {
    refuse("the checksum of the rows is wrong");
  }
  return header;
}

}  // namespace

std::string token_shard_path(const std::string& folder, const std::string& name, int64_t index) {
  char number[16];
  std::snprintf(number, sizeof(number), "-%05lld", static_cast<long long>(index));
  return folder + "/" + name + number + ".tokens";
}

TokenShardWriter::TokenShardWriter(std::string folder, std::string name, const ShardShape& shape,
                                   int64_t shard_bytes)
    : folder_(std::move(folder)),
      name_(std::move(name)),
      shape_(shape),
      token_bytes_(width_for(shape.vocab_size)) {
  rows_per_shard_ = std::max<int64_t>(1, shard_bytes / (shape.row_tokens * token_bytes_));
}

void TokenShardWriter::add_row(std::span<const int32_t> row) {
  if (static_cast<int64_t>(row.size()) != shape_.row_tokens) {
    throw ShapeError(
        concat("token shard row: got ", row.size(), " tokens, want ", shape_.row_tokens));
  }
  const size_t begin = payload_.size();
  const auto width = static_cast<size_t>(token_bytes_);
  payload_.resize(begin + row.size() * width);
  for (size_t t = 0; t < row.size(); ++t) {
    if (row[t] != kPadToken && (row[t] < 0 || row[t] >= shape_.vocab_size)) {
      throw ShapeError(
          concat("token shard row: got id ", row[t], ", want one below ", shape_.vocab_size));
    }
    // Narrowing turns kPadToken (-1) into the largest value of the width, which is what it means.
    const auto id = static_cast<uint32_t>(row[t]);
    std::memcpy(payload_.data() + begin + t * width, &id, width);
  }
  ++n_rows_;
  if (++rows_here_ == rows_per_shard_) write_shard();
}

void TokenShardWriter::finish() {
  if (rows_here_ > 0 || n_shards_ == 0) write_shard();
}

void TokenShardWriter::write_shard() {
  Header header{};
  header.magic = kMagic;
  header.version = kVersion;
  header.token_bytes = static_cast<uint32_t>(token_bytes_);
  header.vocab_size = static_cast<uint64_t>(shape_.vocab_size);
  header.row_tokens = static_cast<uint64_t>(shape_.row_tokens);
  header.n_rows = static_cast<uint64_t>(rows_here_);
  header.tokenizer_hash = shape_.tokenizer_hash;
  header.rows_hash = XXH3_64bits(payload_.data(), payload_.size());
  header.header_hash = header_hash(header);
  AtomicFile file(token_shard_path(folder_, name_, n_shards_++));
  file.write(&header, sizeof(header));
  file.write(payload_.data(), payload_.size());
  file.commit();
  payload_.clear();
  rows_here_ = 0;
}

TokenShards TokenShards::open(const std::string& folder, const std::string& name) {
  TokenShards shards;
  for (int64_t index = 0;; ++index) {
    const std::string path = token_shard_path(folder, name, index);
    if (index > 0 && !path_exists(path)) break;
    const auto file = MappedFile::open(path);
    const Header header = read_header(*file);
    const ShardShape shape{static_cast<int64_t>(header.vocab_size),
                           static_cast<int64_t>(header.row_tokens), header.tokenizer_hash};
    if (index == 0) {
      shards.shape_ = shape;
      shards.token_bytes_ = header.token_bytes;
    } else if (shape != shards.shape_) {
      throw FormatError(path +
                        ": belongs to other data than the shard before it; delete the folder "
                        "and prepare the data again");
    }
    const auto rows = static_cast<int64_t>(header.n_rows);
    shards.shards_.push_back({file, shards.n_rows_, rows});
    shards.n_rows_ += rows;
    const uint64_t chain[2] = {shards.hash_, header.header_hash};
    shards.hash_ = XXH3_64bits(chain, sizeof(chain));
  }
  return shards;
}

void TokenShards::read_row(int64_t index, std::span<int32_t> row) const {
  size_t at = 0;
  while (index >= shards_[at].first_row + shards_[at].n_rows) ++at;
  const Shard& shard = shards_[at];
  const auto width = static_cast<size_t>(token_bytes_);
  const std::byte* from =
      shard.file->bytes().data() + sizeof(Header) +
      static_cast<size_t>((index - shard.first_row) * shape_.row_tokens) * width;
  const uint32_t pad = token_bytes_ == 2 ? 0xFFFF : 0xFFFFFFFF;
  for (size_t t = 0; t < row.size(); ++t) {
    uint32_t id = 0;
    std::memcpy(&id, from + t * width, width);
    if (id != pad && id >= static_cast<uint64_t>(shape_.vocab_size)) {
      throw FormatError(concat(shard.file->path(), ": row ", index,
                               ": token id out of range (found ", id, ", expected one below ",
                               shape_.vocab_size,
                               "); delete the folder and prepare the data again"));
    }
    row[t] = id == pad ? kPadToken : static_cast<int32_t>(id);
  }
}

}  // namespace hadal
