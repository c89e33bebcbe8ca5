// A model that holds a part of its parameters: names, values, memory, loading.
#include "hadal/model/held_part.h"

#include <gtest/gtest.h>

#include <set>

#include "hadal/core/checked_math.h"
#include "hadal/model/checkpoint_reader.h"
#include "hadal/model/precision.h"
#include "hadal/model/read_weights.h"
#include "hadal/model/stage.h"
#include "tests/support/random_model.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

struct Case {
  const char* name;
  bool tied;
  std::vector<size_t> stages;  // of three even cuts of the odd model's layers
  ExpertRange experts;
  std::set<std::string> held, not_held;  // some names
};

const std::vector<Case> kCases = {
    {"FirstStage",
     false,
     {0},
     {0, 4},
     {"model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight"},
     {"model.norm.weight", "lm_head.weight", "model.layers.1.mlp.gate.weight",
      "model.layers.3.enorm.weight"}},
    {"MiddleStage",
     true,
     {1},
     {4, 8},
     {"model.layers.1.mlp.gate.weight", "model.layers.1.mlp.gate.e_score_correction_bias",
      "model.layers.1.mlp.experts.4.up_proj.weight",
      "model.layers.1.mlp.shared_experts.up_proj.weight"},
     {"model.embed_tokens.weight", "model.norm.weight",
      "model.layers.1.mlp.experts.3.up_proj.weight"}},
    {"LastStageReadsTheEmbeddingInMtp",
     false,
     {2},
     {2, 3},
     {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
      "model.layers.3.eh_proj.weight", "model.layers.3.mlp.experts.2.down_proj.weight"},
     {"model.layers.3.mlp.experts.1.down_proj.weight", "model.layers.0.input_layernorm.weight"}},
    {"BothEnds",
     false,
     {0, 2},
     {0, 8},
     {"model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "lm_head.weight"},
     {"model.layers.1.mlp.gate.weight"}},
};

ModelConfig config_of(const Case& c) {
  ModelConfig config = odd_config();
  config.tie_word_embeddings = c.tied;
  return config;
}

HeldPart part_of(const Case& c) {
  const std::vector<StageCut> all = even_cuts(config_of(c), 3);
  std::vector<StageCut> cuts;
  for (const size_t stage : c.stages) cuts.push_back(all[stage]);
  return part_of_stages(config_of(c), cuts, c.experts);
}

void expect_same_values(const NamedParam& got, const NamedParam& want) {
  EXPECT_EQ(got.name, want.name);
  EXPECT_EQ(got.position, want.position);
  const auto a = std::as_const(got.param->master).flat<float>();
  const auto b = std::as_const(want.param->master).flat<float>();
  EXPECT_TRUE(std::ranges::equal(a, b)) << got.name;
}

class HeldPartTest : public ::testing::TestWithParam<Case> {};

TEST_P(HeldPartTest, HasTheWholeModelsValuesAndNothingElse) {
  const ModelConfig config = config_of(GetParam());
  Arena all_memory, memory, tables;
  DeepseekV3 all = make_model(config, all_memory);
  initialise_weights(all, all_memory, 9);
  const std::vector<NamedParam> whole = named_params(all);
  const int64_t table = [&] {
    make_model(config, tables).ensure_rope(tables, 1);
    return tables.peak_bytes_in_use();
  }();
  DeepseekV3 part = make_model(config, memory, part_of(GetParam()));
  initialise_weights(part, memory, 9);
  allocate_gradients(part, memory);
  std::set<std::string> names;
  int64_t bytes = table;
  for (const NamedParam& each : named_params(part)) {
    expect_same_values(each, whole.at(static_cast<size_t>(each.position)));
    names.insert(each.name);
    const int64_t block = round_up(each.param->master.bytes(), int64_t{256});
    bytes += block * (each.kind == ParamKind::kRouteBias ? 1 : 2);
  }
  EXPECT_EQ(memory.bytes_in_use(), bytes);
  for (const std::string& name : GetParam().held) EXPECT_TRUE(names.contains(name)) << name;
  for (const std::string& name : GetParam().not_held) EXPECT_FALSE(names.contains(name)) << name;
}

// Names are listed by what holds() says, of every parameter of the whole.
TEST_P(HeldPartTest, HoldsWhatItNames) {
  const ModelConfig config = config_of(GetParam());
  Arena arena;
  DeepseekV3 all = make_model(config, arena), part = make_model(config, arena, part_of(GetParam()));
  std::vector<std::string> want, got;
  for (const NamedParam& each : named_params(all)) {
    if (part.held.holds(each.place)) want.push_back(each.name);
  }
  for (const NamedParam& each : named_params(part)) got.push_back(each.name);
  EXPECT_EQ(got, want);
  EXPECT_LT(got.size(), named_params(all).size());
}

TEST_P(HeldPartTest, LoadsWhatItHolds) {
  const ModelConfig config = config_of(GetParam());
  const TemporaryFolder folder;
  RandomModel random(config);
  save_folder(folder.path(), random.model, {.dtype = SaveDType::kF32});
  Arena memory;
  DeepseekV3 part = load_folder(folder.path(), memory, {.part = part_of(GetParam())});
  const std::vector<NamedParam> whole = named_params(random.model);
  const std::vector<NamedParam> params = named_params(part);
  EXPECT_LT(params.size(), whole.size());
  for (const NamedParam& each : params) {
    expect_same_values(each, whole.at(static_cast<size_t>(each.position)));
  }
}

TEST_P(HeldPartTest, MakesWorkingWeightsOfWhatItHolds) {
  Arena memory;
  ThreadPool pool(1);
  Context ctx{pool, memory};
  DeepseekV3 part = make_model(config_of(GetParam()), memory, part_of(GetParam()));
  initialise_weights(part, memory, 9);
  set_precision(part, Precision::kBf16);
  remake_working_weights(ctx, part);
  for (const WorkingWeight& each : working_weights(part)) {
    EXPECT_TRUE(std::holds_alternative<Tensor>(each.weight->working));
  }
}

INSTANTIATE_TEST_SUITE_P(Parts, HeldPartTest, ::testing::ValuesIn(kCases),
                         [](const auto& part) { return part.param.name; });

// What is read ahead of a part: its own bytes, each once, and of the whole all.
TEST(HeldPart, KnowsWhereItsWeightsLie) {
  const TemporaryFolder folder;
  RandomModel random(odd_config());
  save_folder(folder.path(), random.model, {.dtype = SaveDType::kFP8});
  const OpenCheckpoint checkpoint = open_checkpoint(folder.path(), true);
  const auto read = [&](const HeldPart& held) {
    std::vector<std::span<const std::byte>> ranges;
    int64_t n_bytes = 0;
    const auto look = [&](std::span<const StoredWeight> weights) {
      for (const StoredWeight& weight : weights) n_bytes += weight.bytes();
      ranges = mapped_ranges(checkpoint.source, weights);
    };
    find_all_stored(checkpoint, named_params(random.model), held, look);
    int64_t n_mapped = 0;
    for (size_t i = 0; i < ranges.size(); ++i) {
      n_mapped += std::ssize(ranges[i]);
      if (i == 0) continue;
      EXPECT_LT(&ranges[i - 1].back() + 1, ranges[i].data());
    }
    EXPECT_EQ(n_mapped, n_bytes);
    return n_bytes;
  };
  HeldPart share = HeldPart::whole(odd_config());
  const int64_t whole = read(share);
  share.experts = {2, 4};
  EXPECT_LT(read(share), whole);
  EXPECT_GT(whole, 10000);
}

// A part is no licence for a checkpoint that lacks the rest.
TEST(HeldPart, RefusesACheckpointWithoutWhatItDoesNotHold) {
  const TemporaryFolder folder;
  RandomModel random(odd_config());
  save_folder(folder.path(), random.model, {.dtype = SaveDType::kF32});
  HeldPart first = HeldPart::whole(odd_config());
  first.layers[2] = first.heads = first.mtp = false;
  Arena memory;
  EXPECT_NO_THROW(load_folder(folder.path(), memory, {.part = first}));
  std::string bytes = read_bytes(folder / "model.safetensors");
  const std::string name = "model.layers.2.input_layernorm.weight";
  bytes.replace(bytes.find(name), name.size(), "model.layers.2.input_layernorm.weighs");
  folder.write("model.safetensors", bytes);
  EXPECT_THROW(load_folder(folder.path(), memory, {.part = first}), FormatError);
}

}  // namespace
}  // namespace hadal::test
