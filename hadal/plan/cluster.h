// plan/cluster.h: the machines a plan is made for: a TOML file or a built-in name.
//
//   name = "my cluster"            nodes = 32                   gpus_per_node = 8
//   gpu = "H800"                   # starts from that GPU's figures; every key below replaces one
//   bf16_tflops = 989.5            fp8_tflops = 1979            # dense peaks; fp8 0: no such units
//   memory_gb = 80                 memory_gb_per_s = 3350
//   nvlink_gb_per_s = 160          # effective, one way, between GPUs of a node
//   nic_gb_per_s = 50              # per GPU, one way
//   price_usd_per_gpu_hour = 2.0
// Decimal units: 1 GB is 1e9 B. The built-ins: docs/plan.md, "Clusters".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hadal/plan/worksheet.h"

namespace hadal {

// Of one GPU; in B, B/s, FLOP/s.
struct GpuFigures {
  std::string name;
  double bf16_flops = 0, fp8_flops = 0;
  double memory = 0, memory_bandwidth = 0;
  double nvlink_bandwidth = 0, nic_bandwidth = 0;
  int64_t gpus_per_node = 8;  // that NVLink connects; of a cluster: of those, the ones in use
  int64_t gpus_per_tray = 8;  // a job takes GPUs of a node by so many
  double dense_share = 0;     // of the FP8 peak that a dense model trains at; 0: not published
  double price = 2.0;         // USD per GPU-hour
  Origin origin = Origin::kAssumed;
  std::string source;
};
const std::vector<GpuFigures>& known_gpus();

struct Cluster {
  std::string name;
  GpuFigures gpu;
  int64_t nodes = 1;
  int64_t gpus() const { return nodes * gpu.gpus_per_node; }
};

// "h800-2048": GPU type and number of GPUs, whole nodes; of NVLink domains of 72 the fewest that share
// them evenly, by whole trays and at least half used: gb200-256 is 4 domains of 64. A path that ends in .toml, or that exists, is a file.
// ConfigError with the nearest name; FormatError for what a file gets wrong.
Cluster find_cluster(const std::string& name_or_file);
Cluster read_cluster(const std::string& text, const std::string& source);  // TOML
const std::vector<std::string>& built_in_clusters();

// Section "cluster".
void add_cluster(Worksheet& sheet, const Cluster& cluster);

}  // namespace hadal
