#include "hadal/data/dataset.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/log.h"
#include "hadal/data/prepared_folder.h"
#include "hadal/data/shard_batches.h"
#include "hadal/io/atomic_write.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPartialMark = ".partial-";

// A folder that disappears unless it is kept: an interrupted or failed preparation leaves nothing.
class PartialFolder {
 public:
  explicit PartialFolder(const std::string& final_path)
      : path_(concat(final_path, kPartialMark, ::getpid())) {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    make_folders(path_);
  }
  ~PartialFolder() {
    std::error_code ignored;
    if (!kept_) fs::remove_all(path_, ignored);
  }
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;

  const std::string& path() const { return path_; }

  void keep_as(const std::string& final_path) {
    sync_folder(path_);
    std::error_code error;
    fs::rename(path_, final_path, error);
    // Another process may have finished the same preparation first; its result is the same.
    kept_ = !error;
    if (error && !fs::exists(final_path + "/manifest.json")) {
      throw IoError(concat(final_path, ": cannot be created (", error.message(),
                           "); choose another cache folder"));
    }
    sync_folder(fs::path(final_path).parent_path().string());
  }

 private:
  std::string path_;
  bool kept_ = false;
};

// What a killed preparation left behind goes when its process is gone.
void remove_abandoned_folders(const std::string& parent) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(parent, ignored)) {
    const std::string name = entry.path().filename().string();
    const size_t mark = name.find(kPartialMark);
    if (mark == std::string::npos) continue;
    const int process = std::atoi(name.c_str() + mark + kPartialMark.size());
    if (process > 0 && ::kill(process, 0) != 0 && errno == ESRCH) {
      fs::remove_all(entry.path(), ignored);
    }
  }
}

}  // namespace

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
  config.validate();
  const auto files = list_source_files(config.paths);
  const Json settings = preparation_settings(config, files);
  const std::string parent =
      config.cache_dir.empty() ? hadal_cache_folder() + "/prepared" : config.cache_dir;
  const std::string folder = parent + "/" + hex(exact_hash(settings.dump()));
  if (fs::exists(folder + "/manifest.json")) {
    try {
      PreparedData data = open_prepared_folder(folder, config.seed);
      data.reused = true;
      SourceRemarks::say(data.counts.corpus.remarks);
      return data;
    } catch (const FormatError& error) {
      log_warning(error.what(), "; preparing it again");
      std::error_code ignored;
      fs::remove_all(folder, ignored);
    }
  }
  make_folders(parent);
  remove_abandoned_folders(parent);
  PartialFolder partial(folder);
  build_prepared_folder(partial.path(), config, files, settings, pool);
  partial.keep_as(folder);
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
