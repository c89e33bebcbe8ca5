#include "hadal/plan/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "hadal/core/error.h"

namespace hadal {
namespace {

using ::testing::HasSubstr;

std::string file_error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "no error";
}

TEST(Cluster, TheH800ClusterIsAsPublished) {
  const Cluster cluster = find_cluster("h800-2048");
  EXPECT_EQ(cluster.gpus(), 2048);
  EXPECT_EQ(cluster.nodes, 256);
  EXPECT_EQ(cluster.gpu.bf16_flops, 989.5e12);
  EXPECT_EQ(cluster.gpu.fp8_flops, 1979e12);
  EXPECT_EQ(cluster.gpu.memory, 80e9);
  EXPECT_EQ(cluster.gpu.nic_bandwidth, 50e9);
  EXPECT_EQ(cluster.gpu.nvlink_bandwidth, 160e9);
  EXPECT_EQ(cluster.gpu.price, 2.0);
  EXPECT_EQ(cluster.gpu.origin, Origin::kPublished);
}

TEST(Cluster, EveryBuiltInNameWorksAndOnlyH800IsPublished) {
  for (const std::string& name : built_in_clusters()) {
    const Cluster cluster = find_cluster(name);
    EXPECT_GE(cluster.gpus(), 8) << name;
    EXPECT_EQ(cluster.gpus() % cluster.gpu.gpus_per_node, 0) << name;
    EXPECT_EQ(cluster.gpu.origin,
              cluster.gpu.name == "h800" ? Origin::kPublished : Origin::kAssumed)
        << name;
  }
  EXPECT_EQ(find_cluster("gb200-nvl72").gpu.gpus_per_node, 72);
  EXPECT_EQ(find_cluster("gb200-nvl72-576").gpus(), 576);
  EXPECT_EQ(find_cluster("H200-16").nodes, 2);
  for (const char* gpu : {"h100", "h800", "h200", "gb200", "gb300"}) {
    EXPECT_EQ(find_cluster(std::string(gpu) + "-64").gpus(), 64);
  }
}

// As few domains of 72 as share the GPUs evenly, by whole trays of 4.
TEST(Cluster, DomainsOf72ShareTheGpusEvenly) {
  const struct {
    const char* name;
    int64_t nodes, used;
  } cases[] = {{"gb200-4", 1, 4},      {"gb300-64", 1, 64},        {"gb300-72", 1, 72},
               {"gb200-nvl72", 1, 72}, {"gb200-76", 0, 0},         {"gb200-80", 2, 40},
               {"gb300-256", 4, 64},   {"gb200-nvl72-576", 8, 72}, {"gb300-nvl72-512", 8, 64},
               {"gb200-1024", 16, 64}, {"gb200-2304", 32, 72}};
  for (const auto& each : cases) {
    if (each.used == 0) {
      EXPECT_THAT(file_error_of([&] { find_cluster(each.name); }), HasSubstr("share evenly"));
      continue;
    }
    const Cluster cluster = find_cluster(each.name);
    EXPECT_EQ(cluster.nodes, each.nodes) << each.name;
    EXPECT_EQ(cluster.gpu.gpus_per_node, each.used) << each.name;
  }
}

TEST(Cluster, AFileStartsFromAGpuOrGivesEveryFigure) {
  const Cluster changed = read_cluster(
      "name = \"ours\"\ngpu = \"H800\"\nnodes = 3\nprice_usd_per_gpu_hour = 1.25\n"
      "nic_gb_per_s = 25\n",
      "c.toml");
  EXPECT_EQ(changed.name, "ours");
  EXPECT_EQ(changed.gpus(), 24);
  EXPECT_EQ(changed.gpu.price, 1.25);
  EXPECT_EQ(changed.gpu.nic_bandwidth, 25e9);
  EXPECT_EQ(changed.gpu.memory, 80e9);
  EXPECT_EQ(changed.gpu.origin, Origin::kGiven);
  const Cluster own = read_cluster(
      "nodes = 2\ngpus_per_node = 4\nbf16_tflops = 100\nmemory_gb = 24\nmemory_gb_per_s = 900\n"
      "nvlink_gb_per_s = 30\nnic_gb_per_s = 3\n",
      "c.toml");
  EXPECT_EQ(own.gpus(), 8);
  EXPECT_EQ(own.gpu.bf16_flops, 100e12);
  EXPECT_EQ(own.gpu.fp8_flops, 0);  // none unless the file says so
}

TEST(Cluster, WrongFilesNameTheKey) {
  const std::pair<const char*, const char*> cases[] = {
      {"gpu = \"h800\"\nnodes = 0",
       "c.toml: nodes: out of range (found 0, expected 1 to 16777216)"},
      {"gpu = \"h800\"\nnodes = -2", "nodes: out of range (found -2"},
      {"gpu = \"h800\"\nnodes = 1.5", "nodes: not a whole number (found 1.5)"},
      {"gpu = \"h800\"\nnodes = \"4\"", "nodes: wrong type (found string, expected number)"},
      {"gpu = \"h800\"", "nodes: missing"},
      {"gpu = \"h800\"\nnodes = 1\nnic_gb_per_s = -50", "nic_gb_per_s: out of range (found -50"},
      {"gpu = \"h800\"\nnodes = 1\nnic_gb_per_s = 0", "nic_gb_per_s: out of range (found 0"},
      {"gpu = \"h800\"\nnodes = 1\nbf16_tflops = nan", "bf16_tflops: out of range (found nan"},
      {"gpu = \"h800\"\nnodes = 1\nmemory_gb = inf", "memory_gb: out of range (found inf"},
      {"gpu = \"h800\"\nnodes = 1\nmemory_gb = 1e300", "memory_gb: out of range (found 1e+300"},
      {"gpu = \"h800\"\nnodes = 16777216\ngpus_per_node = 16777216", "too many GPUs"},
      {"gpu = \"h800\"\nnodes = 99999999999999999999", "line 2: not valid TOML"},
      {"gpu = \"h800\"\nnodes = 1\nnic_gb_per_sec = 5",
       "nic_gb_per_sec: unknown key; did you mean nic_gb_per_s?"},
      {"gpu = \"h900\"\nnodes = 1", "gpu: not known (found \"h900\"); did you mean h800?"},
      {"gpu = 800\nnodes = 1", "gpu: wrong type (found integer, expected string)"},
      {"nodes = 1", "bf16_tflops: missing"},
      {"[[[", "not valid TOML"},
  };
  for (const auto& [text, message] : cases) {
    const char* const file = text;
    EXPECT_THAT(file_error_of([&] { read_cluster(file, "c.toml"); }), HasSubstr(message)) << text;
  }
}

TEST(Cluster, WrongNames) {
  const std::pair<const char*, const char*> cases[] = {
      {"h801-2048", "did you mean h800-2048?"},
      {"h800", "no such cluster"},
      {"h800-", "no such cluster"},
      {"h800-0", "not a number of whole nodes (found 0 GPUs, expected a multiple of 8"},
      {"h800-2047", "found 2047 GPUs"},
      {"h800--8", "no such cluster"},
      {"h800-99999999999999999999", "no such cluster"},
      {"gb200-73", "expected a multiple of 4 that domains of 72 share evenly"},
      {"gb300-404", "found 404 GPUs"},  // 101 trays: 6 domains do not share a prime number
      {"gb300-nvl72-nvl72", "no such cluster"},
      {"", "no such cluster"},
      {"absent.toml", "absent.toml: cannot be read"},
  };
  for (const auto& [name, message] : cases) {
    const char* const given = name;
    EXPECT_THAT(file_error_of([&] { find_cluster(given); }), HasSubstr(message)) << name;
  }
}

TEST(Cluster, AFolderOrFileByPath) {
  const std::string path = ::testing::TempDir() + "hadal_cluster.toml";
  std::ofstream(path) << "gpu = \"h100\"\nnodes = 2\n";
  EXPECT_EQ(find_cluster(path).gpus(), 16);
}

}  // namespace
}  // namespace hadal
