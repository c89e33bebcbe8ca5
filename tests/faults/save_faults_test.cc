// Saving a checkpoint and the averaged model: whatever call fails and whenever the power does, what was
// acknowledged is found again.
#include <gtest/gtest.h>

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/io/manifest.h"
#include "hadal/io/safetensors.h"
#include "tests/faults/small_disk.h"

namespace hadal::test {
namespace {

namespace fs = std::filesystem;

// A run with checkpoints of steps 1 and 2, whose third is saved.
class SaveFaults : public ::testing::Test {
 protected:
  SaveFaults() {
    folder_.write("run/run.toml", "");
    saved_.save(run_, 1);
    saved_.save(run_, 2);
    saved_.save_ema(run_);
    before_ = checkpoints_of(run_);
    ema_before_ = read_tree(run_ + "/ema");
    save_.name = "save";
    save_.root = folder_.path();
    save_.run = [this] {
      saved_.save(run_, 3);
      FaultDisk::note("3");
      saved_.save_ema(run_);
      FaultDisk::note("ema");
    };
    save_.result = [this] { return read_tree(run_); };
    const DiskTree start = read_tree(folder_.path());
    save_.run();
    after_ = checkpoints_of(run_);
    ema_after_ = read_tree(run_ + "/ema");
    write_tree(folder_.path(), start);
    save_.check = [this](bool succeeded) { check(succeeded ? 3 : 2, succeeded); };
  }

  // The newest checkpoint is of `least` or later and whole; RUN/latest and RUN/ema are whole, too.
  void check(int64_t least, bool ema_is_new) {
    EXPECT_EQ(find_damage(run_ + "/latest"), "");
    const std::optional<std::string> newest = find_valid_checkpoint(RunFolder(run_, true));
    ASSERT_TRUE(newest);
    const int64_t step = checkpoint_steps(run_ + "/checkpoints").back();
    EXPECT_GE(step, least);
    EXPECT_EQ(difference(step == 3 ? after_.at(3) : before_.at(2), read_tree(*newest)), "");
    const DiskTree ema = read_tree(run_ + "/ema");
    EXPECT_TRUE(same_tree(ema, ema_after_) || (!ema_is_new && same_tree(ema, ema_before_)));
  }

  TemporaryFolder folder_;
  const std::string run_ = folder_ / "run";
  SavedState saved_;
  Operation save_;
  std::map<int64_t, DiskTree> before_, after_;
  DiskTree ema_before_, ema_after_;
};

TEST_F(SaveFaults, EveryCallFails) {
  int64_t n_faults = 0;
  for (const int flavour : {0, 1, 2, 3})
    n_faults += drive_failures(save_, flavour, false, flavour == 0 ? 1 : 6).n_faults;
  n_faults += drive_failures(save_, 0, true, 4).n_faults;
  n_faults += drive_failures(save_, 1, true, 4).n_faults;
  expect_faults(n_faults, 300);
}

TEST_F(SaveFaults, ThePowerFailsAtAnyMoment) {
  const int64_t n_states = drive_power_cuts(save_, [&](const std::vector<std::string>& notes) {
    check(notes.empty() ? 2 : 3, notes.size() == 2);
  });
  expect_faults(n_states, 110);
}

TEST_F(SaveFaults, NothingIsUnsyncedWhenASaveReturns) {
  EXPECT_EQ(unsynced_after(save_), std::vector<std::string>{});
}

// A new run from its first folder on: its own name, too, must outlast a power cut.
TEST_F(SaveFaults, NothingOfANewRunIsUnsynced) {
  const TemporaryFolder fresh;
  const Operation first{.name = "first save",
                        .root = fresh.path(),
                        .run =
                            [&] {
                              const RunFolder run(fresh / "runs/new", false);
                              saved_.at_step(1);
                              save_training_checkpoint(saved_.ctx, run, saved_.state, {}, {});
                            },
                        .check = {},
                        .result = {}};
  EXPECT_EQ(unsynced_after(first), std::vector<std::string>{});
}

TEST_F(SaveFaults, TheAverageIsSavedAndComesBack) {
  save_.run();
  const std::string newest = run_ + "/checkpoints/" + checkpoint_name(3);
  const SafetensorsFile file = SafetensorsFile::open(newest + "/training_state.safetensors");
  SavedState other;
  load_training_checkpoint(newest, other.state);
  Arena arena;
  DeepseekV3 exported = load_folder(run_ + "/ema", arena);
  const std::vector<NamedParam> params = named_params(exported);
  for (size_t i = 0; i < saved_.state.optimizer.params().size(); ++i) {
    const std::string& name = saved_.state.optimizer.params()[i].name;
    const auto want = std::as_const(saved_.state.average->tensors()[i]).flat<float>();
    const auto back = std::as_const(other.state.average->tensors()[i]).flat<float>();
    ASSERT_NE(file.find("ema." + name), nullptr) << name;
    EXPECT_TRUE(std::ranges::equal(want, back)) << name;
    const auto found = std::ranges::find(params, name, &NamedParam::name);
    ASSERT_NE(found, params.end()) << name;
    const auto model = std::as_const(found->param->master).flat<float>();
    for (size_t j = 0; j < want.size(); ++j) {
      ASSERT_NEAR(model[j], want[j], std::abs(want[j]) * 0x1.0p-8F) << name;  // half a step of BF16
    }
  }
}

}  // namespace
}  // namespace hadal::test
