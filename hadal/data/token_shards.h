// data/token_shards.h: packed rows of token ids on disk, mapped into memory when read. The layout
// of a .tokens file is in docs/formats.md, "Token shards".
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "hadal/io/mapped_file.h"

namespace hadal {

struct ShardShape {
  int64_t vocab_size = 0;
  int64_t row_tokens = 0;  // sequence length + 1
  uint64_t tokenizer_hash = 0;
  bool operator==(const ShardShape&) const = default;
};

// Writes FOLDER/NAME-00000.tokens, -00001, ...; each file appears complete or not at all.
class TokenShardWriter {
 public:
  static constexpr int64_t kShardBytes = int64_t{64} << 20;

  TokenShardWriter(std::string folder, std::string name, const ShardShape& shape,
                   int64_t shard_bytes = kShardBytes);
  void add_row(std::span<const int32_t> row);  // ids below vocab_size, or kPadToken
  void finish();                               // at least one file, be it without rows
  int64_t n_rows() const { return n_rows_; }

 private:
  void write_shard();

  std::string folder_, name_;
  ShardShape shape_;
  int64_t rows_per_shard_ = 0, token_bytes_ = 0;
  int64_t n_rows_ = 0, n_shards_ = 0, rows_here_ = 0;
  std::vector<std::byte> payload_;
};

// FOLDER/NAME-00000.tokens
std::string token_shard_path(const std::string& folder, const std::string& name, int64_t index);

class TokenShards {
 public:
  // Every rule of the format is checked, the checksum of the rows included: FormatError.
  static TokenShards open(const std::string& folder, const std::string& name);

  const ShardShape& shape() const { return shape_; }
  int64_t n_rows() const { return n_rows_; }
  int64_t n_shards() const { return static_cast<int64_t>(shards_.size()); }
  // REQUIRES 0 <= index < n_rows(), row.size() == row_tokens. Padding reads as kPadToken.
  void read_row(int64_t index, std::span<int32_t> row) const;
  uint64_t hash() const { return hash_; }  // of all rows, in order

 private:
  struct Shard {
    std::shared_ptr<const MappedFile> file;
    int64_t first_row = 0, n_rows = 0;
  };
  ShardShape shape_;
  int64_t token_bytes_ = 0, n_rows_ = 0;
  uint64_t hash_ = 0;
  std::vector<Shard> shards_;
};

}  // namespace hadal
