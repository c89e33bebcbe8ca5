// Whole runs: begun, cut off and gone on with.
#include <gtest/gtest.h>

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/train/metrics.h"
#include "tests/faults/small_disk.h"
#include "tests/support/small_run.h"

namespace hadal::test {
namespace {

namespace fs = std::filesystem;

// Two steps with a checkpoint after each, and an average.
class ResumeFaults : public ::testing::Test {
 protected:
  ResumeFaults() : root_(fs::path(run_.path("a")).parent_path()), a_(run_.path("a")) {
    // Fewer files to look at: each costs every try some calls.
    for (int document = 4; document < 12; ++document)
      fs::remove(run_.path(concat("text-", document, ".txt")));
    run_.train("a", set_);
    whole_ = outcome();
  }
  // What must be the same whatever happened: the last checkpoint, the average, and one line a step.
  DiskTree outcome() const {
    DiskTree tree;
    for (const std::string& part : {"checkpoints/" + checkpoint_name(2), std::string("ema")}) {
      for (auto& [name, item] : read_tree(a_ + "/" + part)) tree[part + "/" + name] = item;
    }
    std::string steps;
    for (const Json& line : read_metrics(a_, 100)) {
      if (line.at("split") == Json("train"))
        steps += concat(line.at("step").as_integer(), " ", line.at("train/loss").dump(), "\n");
    }
    tree["metrics"] = {DiskItem::Kind::kFile, std::make_shared<std::string>(steps)};
    return tree;
  }
  void cut_back_to_first_step() {
    fs::remove_all(a_ + "/checkpoints/" + checkpoint_name(2));
    fs::remove_all(a_ + "/ema");
    fs::remove(a_ + "/latest");
    fs::create_symlink("checkpoints/" + checkpoint_name(1), a_ + "/latest");
  }
  void go_on() const { run_.train("a", set_, fs::exists(a_ + "/run.toml")); }

  SmallRun run_;
  const std::string root_, a_;
  const std::vector<std::string> set_ = {"train.steps=2",
                                         "train.batch_sequences=1",
                                         "train.seq_len=8",
                                         "train.micro_batch_sequences=1",
                                         "checkpoint.every_steps=1",
                                         "checkpoint.keep=2",
                                         "eval.every_steps=0",
                                         "eval.sequences=1",
                                         "optimizer.ema_decay=0.5",
                                         "optimizer.warmup_steps=1"};
  DiskTree whole_;
};

TEST_F(ResumeFaults, EveryCallFails) {
  cut_back_to_first_step();
  const DiskTree first = checkpoints_of(a_).at(1);
  const Operation resume{.name = "resume",
                         .root = root_,
                         .run = [this] { run_.train("a", set_, true); },
                         .check =
                             [&](bool succeeded) {
                               const auto found = checkpoints_of(a_);
                               EXPECT_TRUE(found.contains(1) && same_tree(found.at(1), first));
                               EXPECT_TRUE(!succeeded || same_tree(whole_, outcome()));
                             },
                         .result = [this] { return outcome(); }};
  // Looking at one text is like looking at the next: every sixth call, and fewer of the other kinds.
  int64_t n = drive_failures(resume, 0, false, 6).n_faults;
  n += drive_failures(resume, 1, false, 13).n_faults;
  n += drive_failures(resume, 1, true, 17).n_faults;
  expect_faults(n, 100);
}

TEST_F(ResumeFaults, ThePowerFailsAtAnyMoment) {
  fs::remove_all(a_);
  fs::remove_all(run_.path("cache"));
  int64_t n_met = 0, n_gone_on = 0;
  const Operation train{"train", root_, [this] { run_.train("a", set_); }, {}, {}};
  const int64_t n = drive_power_cuts(train, [&](const std::vector<std::string>&) {
    // To train on takes long: for a sample; the others must still be found.
    if (n_met++ % (drive_all() ? 1 : 9) != 0) {
      if (!fs::exists(a_ + "/run.toml")) return;
      EXPECT_NO_THROW(find_valid_checkpoint(RunFolder(a_, true)));
      return;
    }
    ++n_gone_on;
    EXPECT_EQ(outcome_of([this] { go_on(); }), "");
    EXPECT_EQ(difference(whole_, outcome()), "");
    EXPECT_EQ(temporaries_in(a_), std::vector<std::string>{});
  });
  expect_faults(n, 300);
  EXPECT_GE(n_gone_on, 30);
}

TEST_F(ResumeFaults, NothingOfARunIsUnsyncedAtItsEnd) {
  fs::remove_all(a_);
  const Operation train{"train", root_, [this] { run_.train("a", set_); }, {}, {}};
  EXPECT_EQ(unsynced_after(train), std::vector<std::string>{});
}

}  // namespace
}  // namespace hadal::test
