#include "hadal/data/dataset.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "hadal/core/error.h"
#include "hadal/core/log.h"
#include "hadal/data/bpe_model.h"
#include "hadal/data/bpe_trainer.h"
#include "hadal/data/prepared_folder.h"
#include "hadal/data/shard_batches.h"
#include "hadal/io/atomic_folder.h"
#include "hadal/io/path_status.h"

namespace hadal {
std::string hadal_cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache) {
    return std::string(cache) + "/hadal";
  }
  const char* home = std::getenv("HOME");
  require(home && *home, {.field = "HOME",
                          .problem = "not set",
                          .expected = "the folder that holds .cache",
                          .advice = "set it, or XDG_CACHE_HOME"});
  return std::string(home) + "/.cache/hadal";
}

void DataConfig::validate() const {
  require(!paths.empty(),
          {.field = "data.paths",
           .problem = "no text to read",
           .found = "none",
           .expected = "files or folders",
           .advice = "name some, or fetch a default corpus with `hadal data fetch tiny`"});
  require(seq_len >= 2 && seq_len < (int64_t{1} << 24), {.field = "data.seq_len",
                                                         .problem = "out of range",
                                                         .found = seq_len,
                                                         .expected = "2 to 16777215"});
  const int64_t smallest = smallest_trained_vocab_size();
  require(!tokenizer.empty() || (vocab_size >= smallest && vocab_size <= BpeModel::kMaxTokens),
          {.field = "data.vocab_size",
           .problem = "out of range",
           .found = vocab_size,
           .expected = {smallest, " to ", BpeModel::kMaxTokens},
           .advice = "it counts the 256 bytes and the family's tokens too"});
  require(corpus.validation_fraction >= 0.0 && corpus.validation_fraction < 1.0,
          {.field = "data.validation_fraction",
           .problem = "not a share",
           .found = corpus.validation_fraction,
           .expected = "0 up to, but not, 1"});
  require(corpus.max_validation_bytes > 0, {.field = "data.max_validation_bytes",
                                            .problem = "out of range",
                                            .found = corpus.max_validation_bytes,
                                            .expected = "more than 0",
                                            .advice = "set validation_fraction to 0 for none"});
  const bool above_0 = std::all_of(shares.begin(), shares.end(), [](double s) { return s > 0.0; });
  require(shares.empty() || (shares.size() == paths.size() && above_0),
          {.field = "data.shares",
           .problem = "not a share for every path",
           .found = {shares.size(), " shares for ", paths.size(), " paths"},
           .expected = "one number above 0 for each of data.paths"});
  corpus.source.validate();
  require(fim_rate >= 0.0 && fim_rate <= 1.0, {.field = "data.fim_rate",
                                               .problem = "not a share",
                                               .found = fim_rate,
                                               .expected = "0 to 1",
                                               .advice = "0.1 is the report's"});
  require(boundary_split_rate >= 0.0 && boundary_split_rate <= 1.0,
          {.field = "data.boundary_split_rate",
           .problem = "not a share",
           .found = boundary_split_rate,
           .expected = "0 to 1"});
}

PreparedData prepare_data(const DataConfig& config, ThreadPool& pool) {
  // Of two threads that want the same text one prepares it, and the other finds it. A phase's text may need
  // that of the phase before, hence recursive.
  static std::recursive_mutex one_at_a_time;
  const std::scoped_lock lock(one_at_a_time);
  config.validate();
  const auto files = list_source_files(config.paths);
  const Json settings = preparation_settings(config, files);
  const std::string parent =
      config.cache_dir.empty() ? hadal_cache_folder() + "/prepared" : config.cache_dir;
  const std::string folder = parent + "/" + hex(exact_hash(settings.dump()));
  remove_abandoned(parent, [](const std::string& name) {
    return name.size() == 32 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
  });
  if (path_exists(folder + "/manifest.json")) {
    try {
      PreparedData data = open_prepared_folder(folder, config.seed);
      data.reused = true;
      SourceRemarks::say(data.counts.corpus.remarks);
      return data;
    } catch (const FormatError& error) {
      log_warning(error.what(), "; preparing it again");
    }
  }
  AtomicFolder whole(folder);
  build_prepared_folder(whole.temporary(), config, files, settings, pool);
  whole.commit();
  return open_prepared_folder(folder, config.seed);
}

Batch PreparedData::validation_batch(int64_t begin, int64_t n) const {
  return read_batch(validation, begin, n, pad_id);
}

int64_t PreparedData::target_bytes(const Batch& batch) const {
  int64_t bytes = 0;
  for (const int32_t id : batch.targets) {
    if (id >= 0 && !tokenizer.is_special(id)) {
      bytes += static_cast<int64_t>(tokenizer.token_bytes(id).size());
    }
  }
  return bytes;
}

}  // namespace hadal
