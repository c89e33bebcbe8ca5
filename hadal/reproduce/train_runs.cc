#include "hadal/reproduce/train_runs.h"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/corpus/content_hash.h"
#include "hadal/io/atomic_folder.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"
#include "hadal/train/pretrain.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;

bool finished(const TrainConfig& config) {
  return is_regular_file(config.train.out + "/summary.json");
}

bool begun(const TrainConfig& config) { return is_regular_file(config.train.out + "/run.toml"); }

// The run of its first phase alone, in a folder beside it.
TrainConfig first_phase_of(const TrainConfig& config) {
  TrainConfig first = config;
  first.phases.clear();
  first.train.out = folder_of(config.train.out) + "/" + settings_hash(first);
  return first;
}

// Each file is on the disk when it returns.
void copy_folder(const std::string& from, const std::string& to) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(from)) {
    const fs::path copy = to / entry.path().lexically_relative(from);
    if (entry.is_symlink()) {
      fs::copy_symlink(entry.path(), copy);
    } else if (entry.is_directory()) {
      make_folders(copy);
    } else {
      copy_file_atomically(entry.path(), copy);
    }
  }
}

// The run's folder as it is when the first phase has ended: runs that differ in their later phases
// share it, and a run that goes on from there has the bytes of one that did all by itself.
void begin_behind_first_phase(const TrainConfig& config) {
  AtomicFolder folder(config.train.out);
  copy_folder(first_phase_of(config).train.out, folder.temporary());
  remove_file(folder.temporary() + "/summary.json");
  folder.commit();
}

void train_run(Context& ctx, const TrainConfig& config, bool resume) {
  require(!begun(config) || resume, {.place = config.train.out,
                                     .problem = "an unfinished run is there",
                                     .advice = "go on with {resume}, or choose another {out}"});
  if (!begun(config) && !config.phases.empty()) begin_behind_first_phase(config);
  try {
    const Json summary = pretrain(ctx, config, begun(config));
    write_file_atomically(config.train.out + "/summary.json", summary.dump(2) + "\n");
  } catch (const Interrupted&) {
    throw Interrupted(Complaint{.place = config.train.out,
                                .problem = "stopped by a signal, saved",
                                .advice = "the same call with {resume} goes on"});
  }
}

// The runs that are still to be trained, `jobs` of them at a time with a share of the threads each: small
// models gain more from a thread of their own than from several for one.
class RunQueue {
 public:
  RunQueue(std::vector<TrainConfig> configs, const TrainRunsOptions& options)
      : configs_(std::move(configs)), options_(options) {}

  void train(Context& ctx) {
    const auto jobs = std::min(std::ssize(configs_), options_.jobs);
    if (jobs <= 1) {
      work(ctx);
    } else {
      const int threads = std::max(1, ctx.pool.n_threads() / static_cast<int>(jobs));
      std::vector<std::jthread> workers;
      for (int64_t i = 0; i < jobs; ++i)
        workers.emplace_back([this, threads] { work_beside(threads); });
    }
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void work_beside(int threads) {
    ThreadPool pool(threads);
    Arena arena;
    Context ctx(pool, arena);
    work(ctx);
  }

  // After a failure nothing new is begun; runs on the way go to their end.
  void work(Context& ctx) {
    while (const TrainConfig* config = next()) {
      try {
        train_run(ctx, *config, options_.resume);
      } catch (...) {
        const std::scoped_lock lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
      }
    }
  }

  const TrainConfig* next() {
    const std::scoped_lock lock(mutex_);
    if (failure_ || taken_ == configs_.size()) return nullptr;
    const TrainConfig& config = configs_[taken_++];
    log_note("run ", taken_, " of ", configs_.size(),
             " that are to be trained: ", config.train.out);
    return &config;
  }

  std::vector<TrainConfig> configs_;
  TrainRunsOptions options_;
  std::mutex mutex_;
  size_t taken_ = 0;
  std::exception_ptr failure_;
};

// Those that are not finished, each once.
std::vector<TrainConfig> unfinished(std::vector<TrainConfig> configs) {
  std::set<std::string> folders;
  std::erase_if(configs, [&](const TrainConfig& config) {
    return finished(config) || !folders.insert(config.train.out).second;
  });
  return configs;
}

}  // namespace

std::string settings_hash(const TrainConfig& config) {
  TrainConfig run = config, defaults;
  run.train.out.clear();
  run.data.cache_dir.clear();
  for (std::string& path : run.data.paths) path = absolute_path(path);
  const std::vector<Setting> values = settings_table(run), usual = settings_table(defaults);
  std::string changed;
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string value = setting_value(values[i]).dump();
    if (value != setting_value(usual[i]).dump())
      changed += concat(values[i].name, "=", value, "\n");
  }
  changed += config.model.overrides.dump();
  for (const TrainConfig::Phase& phase : config.phases) {
    changed += concat("\n", phase.name, phase.settings.root.dump());
  }
  return hex(exact_hash(changed)).substr(0, 12);
}

void train_runs(Context& ctx, std::vector<TrainConfig> configs, const TrainRunsOptions& options) {
  configs = unfinished(std::move(configs));
  std::vector<TrainConfig> first;
  for (const TrainConfig& config : configs) {
    if (!config.phases.empty() && !begun(config)) first.push_back(first_phase_of(config));
  }
  RunQueue(unfinished(std::move(first)), options).train(ctx);
  RunQueue(unfinished(std::move(configs)), options).train(ctx);
}

}  // namespace hadal
