#include "hadal/data/shard_batches.h"

#include <algorithm>
#include <cstdio>

#include "hadal/core/error.h"
#include "hadal/data/packing.h"

namespace hadal {
namespace {

void append_row(const TokenShards& shards, int64_t index, int32_t pad_as, std::vector<int32_t>& row,
                Batch& batch) {
  row.resize(static_cast<size_t>(shards.shape().row_tokens));
  shards.read_row(index, row);
  for (size_t t = 0; t + 1 < row.size(); ++t) {
    batch.tokens.push_back(row[t] == kPadToken ? pad_as : row[t]);
    // kPadToken is the ignored target, -1; what follows it is ignored too (packing.h).
    batch.targets.push_back(row[t] == kPadToken ? kPadToken : row[t + 1]);
  }
}

Batch empty_batch(const TokenShards& shards, int64_t n) {
  Batch batch;
  batch.n_sequences = n;
  batch.length = shards.shape().row_tokens - 1;
  batch.tokens.reserve(static_cast<size_t>(n * batch.length));
  batch.targets.reserve(static_cast<size_t>(n * batch.length));
  return batch;
}

// As text: a JSON number above 2^63 is not safe with every reader.
std::string hex16(uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(value));
  return text;
}

// What a checkpoint keeps of a position under `key`.
const Json& kept(const Json& position, const char* key) {
  if (const Json* value = position.find(key)) return *value;
  throw FormatError({.place = "data position",
                     .field = key,
                     .problem = "missing",
                     .advice = "use another checkpoint"});
}

int64_t kept_number(const Json& position, const char* key) {
  const Json& value = kept(position, key);
  if (value.is_integer() && !value.is_unsigned()) return value.as_integer();
  throw FormatError({.place = "data position",
                     .field = key,
                     .problem = "not a count",
                     .found = value.type_name(),
                     .advice = "use another checkpoint"});
}

void check_rows_left(const TokenShards& shards) {
  if (shards.n_rows() == 0) {
    throw FormatError(
        "data: no text is left to train on (found 0 sequences, expected at least 1); "
        "give more text or lower data.validation_fraction");
  }
}

}  // namespace

Batch read_batch(const TokenShards& shards, int64_t begin, int64_t n, int32_t pad_as) {
  Batch batch = empty_batch(shards, n);
  std::vector<int32_t> row;
  for (int64_t index = begin; index < begin + n; ++index) {
    append_row(shards, index, pad_as, row, batch);
  }
  return batch;
}

ShardBatches::ShardBatches(TokenShards shards, int64_t first_pass_rows, uint64_t seed,
                           int32_t pad_as)
    : shards_(std::move(shards)),
      first_pass_rows_(first_pass_rows),
      seed_(seed),
      pad_as_(pad_as),
      epoch_(first_pass_rows == 0 ? 1 : 0),
      order_((check_rows_left(shards_), order())) {}

ShuffledOrder ShardBatches::order() const {
  return {pass_rows(), seed_, static_cast<uint64_t>(epoch_)};
}

Batch ShardBatches::next(int64_t n_sequences) {
  Batch batch = empty_batch(shards_, n_sequences);
  std::vector<int32_t> row;
  for (int64_t s = 0; s < n_sequences; ++s) {
    append_row(shards_, order_.at(cursor_), pad_as_, row, batch);
    if (++cursor_ == pass_rows()) {
      cursor_ = 0;
      ++epoch_;
      order_ = order();
    }
  }
  return batch;
}

Json ShardBatches::position() const {
  Json position = Json::object();
  position["epoch"] = epoch_;
  position["cursor"] = cursor_;
  position["seed"] = hex16(seed_);
  position["data"] = hex16(shards_.hash());
  return position;
}

void ShardBatches::restore(const Json& position) {
  if (kept(position, "data") != Json(hex16(shards_.hash())) ||
      kept(position, "seed") != Json(hex16(seed_))) {
    throw FormatError(
        "data position: belongs to other data or another seed (the checkpoint was written with "
        "different text, tokenizer or data settings); restore those, or start a new run");
  }
  const int64_t epoch = kept_number(position, "epoch");
  const int64_t cursor = kept_number(position, "cursor");
  const int64_t rows = epoch == 0 ? first_pass_rows_ : shards_.n_rows();
  if (epoch < 0 || cursor < 0 || cursor >= rows) {
    throw FormatError(concat("data position: out of range (found epoch ", epoch, ", sequence ",
                             cursor, ", expected a sequence below ", rows,
                             "); use another checkpoint"));
  }
  epoch_ = epoch;
  cursor_ = cursor;
  order_ = order();
}

std::vector<int64_t> rows_read(const TokenShards& shards, int64_t first_pass_rows,
                               const Json& position) {
  const int64_t epoch = kept_number(position, "epoch");
  const int64_t in_pass = epoch == 0 ? first_pass_rows : shards.n_rows();
  const int64_t cursor = std::min(kept_number(position, "cursor"), in_pass);
  const uint64_t seed = std::stoull(kept(position, "seed").as_string(), nullptr, 16);
  std::vector<int64_t> rows;
  if (cursor > 0) {
    const ShuffledOrder order(in_pass, seed, static_cast<uint64_t>(epoch));
    for (int64_t i = 0; i < cursor; ++i) rows.push_back(order.at(i));
    std::sort(rows.begin(), rows.end());
  }
  for (int64_t row = in_pass; row < shards.n_rows(); ++row) rows.push_back(row);
  return rows;
}

}  // namespace hadal
