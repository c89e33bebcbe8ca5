#include "hadal/model/found_config.h"

#include <algorithm>
#include <cstring>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/log.h"
#include "hadal/model/hf_names.h"
#include "hadal/model/stored_weight.h"

namespace hadal {
namespace {

constexpr int64_t kRowsAtOnce = 64;

bool is_plain_type(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16;
}

// Rows of a table where they lie.
Tensor slice_of(const Tensor& table, int64_t first, int64_t last) {
  const int64_t row_bytes = table.dim(1) * dtype_bytes(table.dtype());
  const auto* begin = static_cast<const std::byte*>(table.raw()) + first * row_bytes;
  return Tensor::borrowed(table.dtype(), {last - first, table.dim(1)}, begin, nullptr);
}

bool same_values(const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype()) {
    return std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
  }
  ThreadPool pool(1);
  Arena arena;
  Context host{pool, arena};
  return same_values(widened(host, a), widened(host, b));
}

// Whether `name` stores what `of` does, in whatever type. True also where one of them is missing or
// of another shape: that is refused elsewhere.
bool is_copy(const TensorSource& source, const std::string& name, const std::string& of,
             const Tensor::Shape& shape, bool whole) {
  const auto *entry = source.find(name), *original = source.find(of);
  if (!entry || !original) return true;
  if (entry->info->shape != shape || original->info->shape != shape) return true;
  if (entry->info->dtype != original->info->dtype &&
      (!is_plain_type(entry->info->dtype) || !is_plain_type(original->info->dtype))) {
    return false;
  }
  const Tensor a = source.tensor(*entry), b = source.tensor(*original);
  const int64_t n_rows = shape[0];
  for (int64_t first = 0; first < n_rows; first += kRowsAtOnce) {
    const int64_t last = std::min(first + kRowsAtOnce, n_rows);
    if (!whole && first > 0 && last < n_rows) continue;
    if (!same_values(slice_of(a, first, last), slice_of(b, first, last))) return false;
  }
  return true;
}

// Layers that have any tensor, those of MTP modules included. One that has only some is damaged.
int64_t count_stored_layers(const TensorSource& source) {
  int64_t last = -1;
  for (const auto& [name, entry] : source.entries()) last = std::max(last, hf_layer_of(name));
  return last + 1;
}

void correct_n_mtp(ModelConfig& config, const TensorSource& source) {
  const int64_t n_mtp = count_stored_layers(source) - config.n_layers;
  if (n_mtp < 0) return;  // more is missing than MTP modules: incomplete, or another model's
  if (config.n_mtp == 0 && n_mtp > 0) {
    log_note(
        Refusal({.place = source.path(),
                 .problem = "the weights go on behind the last layer of config.json",
                 .found = {config.n_layers + n_mtp, " layers"},
                 .expected = config.n_layers,
                 .advice = "no MTP module is made of them: num_nextn_predict_layers is not set"})
            .line());
  } else if (n_mtp < config.n_mtp) {
    log_note(Refusal({.place = source.path(),
                      .problem = "the weights lack MTP modules of config.json",
                      .found = n_mtp,
                      .expected = config.n_mtp,
                      .advice = n_mtp == 0 ? "the main model runs, without drafts from MTP"
                                           : "those that are there are used"})
                 .line());
    config.n_mtp = n_mtp;
  }
}

std::optional<Refusal> find_untied_head(const ModelConfig& config, const TensorSource& source) {
  const Tensor::Shape table = {config.vocab_size, config.d_model};
  if (!config.tie_word_embeddings ||
      is_copy(source, hf_head_name(), hf_embedding_name(), table, /*whole=*/true)) {
    return std::nullopt;
  }
  return Refusal({.place = source.path(),
                  .problem = "config.json ties the head to the embedding, the weights do not",
                  .found = {in_quotes(hf_head_name()), " with values of its own"},
                  .expected = "those of the embedding",
                  .advice = "the stored head is used"});
}

std::optional<Refusal> find_false_mtp_copy(const ModelConfig& config, const TensorSource& source,
                                           bool whole) {
  const Tensor::Shape table = {config.vocab_size, config.d_model};
  for (const HfCopy& copy : hf_mtp_copies(config)) {
    if (is_copy(source, copy.name, copy.of, table, whole)) continue;
    return Refusal({.place = source.path(),
                    .problem = "an MTP module shares its tables, and one is no copy",
                    .found = {in_quotes(copy.name), " with values of its own"},
                    .expected = {"those of ", in_quotes(copy.of)},
                    .advice = "the main model's is used"});
  }
  return std::nullopt;
}

}  // namespace

void correct_by_weights(ModelConfig& config, const TensorSource& source, bool with_mtp) {
  correct_n_mtp(config, source);
  if (const auto head = find_untied_head(config, source)) {
    log_note(head->line());
    config.tie_word_embeddings = false;
    return;  // an MTP module's copy of either table has the same cause
  }
  if (!with_mtp) return;
  if (const auto copy = find_false_mtp_copy(config, source, /*whole=*/false)) {
    log_note(copy->line());
  }
}

std::optional<Refusal> find_false_copy(const ModelConfig& config, const TensorSource& source) {
  const auto head = find_untied_head(config, source);
  return head ? head : find_false_mtp_copy(config, source, /*whole=*/true);
}

}  // namespace hadal
