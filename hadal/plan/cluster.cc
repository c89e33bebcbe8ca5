#include "hadal/plan/cluster.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/nearest.h"
#include "hadal/core/number_text.h"
#include "hadal/core/toml.h"

namespace hadal {
namespace {

constexpr int64_t kMaxGpus = int64_t{1} << 24;

// A number of the file and where it goes.
struct Key {
  const char* name;
  double GpuFigures::*field;
  double unit;  // of the file's number, in the field's
  double least, most;
};
constexpr double kTera = 1e12, kGiga = 1e9;
const Key kKeys[] = {
    {"bf16_tflops", &GpuFigures::bf16_flops, kTera, 1e-6, 1e9},
    {"fp8_tflops", &GpuFigures::fp8_flops, kTera, 0, 1e9},
    {"memory_gb", &GpuFigures::memory, kGiga, 1e-3, 1e9},
    {"memory_gb_per_s", &GpuFigures::memory_bandwidth, kGiga, 1e-3, 1e9},
    {"nvlink_gb_per_s", &GpuFigures::nvlink_bandwidth, kGiga, 1e-3, 1e9},
    {"nic_gb_per_s", &GpuFigures::nic_bandwidth, kGiga, 1e-3, 1e9},
    {"price_usd_per_gpu_hour", &GpuFigures::price, 1, 0, 1e6},
};

std::vector<std::string> gpu_names() {
  std::vector<std::string> names;
  for (const GpuFigures& gpu : known_gpus()) names.push_back(gpu.name);
  return names;
}

std::string lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

const GpuFigures* find_gpu(const std::string& name) {
  for (const GpuFigures& gpu : known_gpus()) {
    if (gpu.name == lower_case(name)) return &gpu;
  }
  return nullptr;
}

double number_in_range(const Json& value, const std::string& where, double least, double most) {
  if (!value.is_number()) {
    throw FormatError(
        concat(where, ": wrong type (found ", value.type_name(), ", expected number)"));
  }
  const double number = value.as_number();
  if (!std::isfinite(number) || number < least || number > most) {
    throw FormatError(concat(where, ": out of range (found ", plain_number(number), ", expected ",
                             plain_number(least), " to ", plain_number(most), ")"));
  }
  return number;
}

int64_t count_in_range(const Json& value, const std::string& where) {
  const double number = number_in_range(value, where, 1, static_cast<double>(kMaxGpus));
  if (number != std::floor(number)) {
    throw FormatError(concat(where, ": not a whole number (found ", number, ")"));
  }
  return static_cast<int64_t>(number);
}

std::string text_of(const Json& value, const std::string& where) {
  if (!value.is_string()) {
    throw FormatError(
        concat(where, ": wrong type (found ", value.type_name(), ", expected string)"));
  }
  return value.as_string();
}

GpuFigures gpu_of_file(const Json& root, const std::string& source) {
  const Json* gpu = root.find("gpu");
  if (!gpu) {
    GpuFigures custom;
    custom.name = "custom";
    return custom;
  }
  const std::string name = text_of(*gpu, source + ": gpu");
  const GpuFigures* known = find_gpu(name);
  if (!known) {
    throw FormatError(Complaint{.place = source,
                                .field = "gpu",
                                .problem = "not known",
                                .found = in_quotes(name),
                                .advice = did_you_mean(lower_case(name.substr(0, 100)), gpu_names(),
                                                       "leave it out and give every figure")});
  }
  return *known;
}

void check_keys(const Json& root, const std::string& source) {
  std::vector<std::string> allowed = {"name", "gpu", "nodes", "gpus_per_node"};
  for (const Key& key : kKeys) allowed.push_back(key.name);
  for (const auto& [name, value] : root.as_object()) {
    if (std::find(allowed.begin(), allowed.end(), name) != allowed.end()) continue;
    throw FormatError(Complaint{.place = source,
                                .field = one_line(name, 60),
                                .problem = "unknown key",
                                .advice = did_you_mean(name, allowed, "docs/plan.md lists all")});
  }
}

// In TFLOPS, GB and GB/s, as docs/plan.md, "Clusters", has them with their sources. `dense`: TFLOPS of
// Llama 3.1 405B in FP8, as Megatron-Bridge 26.06 publishes them; 0: it has no such row.
GpuFigures of(const char* name, double bf16, double fp8, double memory, double memory_bandwidth,
              double nvlink, double nic, double dense) {
  GpuFigures gpu;
  gpu.name = name;
  gpu.bf16_flops = bf16 * kTera;
  gpu.fp8_flops = fp8 * kTera;
  gpu.memory = memory * kGiga;
  gpu.memory_bandwidth = memory_bandwidth * kGiga;
  gpu.nvlink_bandwidth = nvlink * kGiga;
  gpu.nic_bandwidth = nic * kGiga;
  gpu.dense_share = dense / fp8;
  gpu.source = "vendor's number, not verified";
  return gpu;
}

// 72 GPUs in 18 trays on one NVLink.
GpuFigures in_domains_of_72(GpuFigures gpu) {
  gpu.gpus_per_node = 72;
  gpu.gpus_per_tray = 4;
  return gpu;
}

// GPUs used of each NVLink domain when the fewest of them share `gpus`; 0: none can, evenly.
int64_t used_per_node(const GpuFigures& gpu, int64_t gpus) {
  const int64_t most = gpu.gpus_per_node;
  for (int64_t nodes = (gpus + most - 1) / most; nodes == 1 || 2 * gpus >= nodes * most; ++nodes) {
    if (nodes > 0 && gpus % (nodes * gpu.gpus_per_tray) == 0) return gpus / nodes;
  }
  return 0;
}

// "gb200-nvl72-576" is gb200-576, and "gb200-nvl72" one domain.
std::string without_domain(const std::string& name) {
  const std::string domain = "-nvl72";
  const size_t at = name.find(domain);
  if (at == std::string::npos) return name;
  const std::string rest = name.substr(at + domain.size());
  return name.substr(0, at) + (rest.empty() ? "-72" : rest);
}

}  // namespace

const std::vector<GpuFigures>& known_gpus() {
  static const std::vector<GpuFigures> gpus = [] {
    // The H800's peak is what 385 TFLOPS at 38.94 % of it implies. NVLink of the H800: 160 of
    // 200 GB/s one way were measured; the same 80 % of the others' nominal one-way bandwidth.
    // H800 and H200 have the H100's chip, and its row of a dense model.
    std::vector<GpuFigures> list = {
        of("h800", 989.5, 1979, 80, 3350, 160, 50, 822),
        of("h100", 989.5, 1979, 80, 3350, 360, 50, 822),
        of("h200", 989.5, 1979, 141, 4800, 360, 50, 822),
        of("b200", 2250, 4500, 180, 7700, 720, 50, 0),
        of("b300", 2250, 4500, 270, 7700, 720, 100, 0),
        in_domains_of_72(of("gb200", 2500, 5000, 186, 8000, 720, 50, 2129)),
        in_domains_of_72(of("gb300", 2500, 5000, 279, 8000, 720, 100, 2646))};
    list[0].origin = Origin::kPublished;
    list[0].source = "DeepSeek's H800 cluster, arXiv:2505.09343";
    return list;
  }();
  return gpus;
}

const std::vector<std::string>& built_in_clusters() {
  static const std::vector<std::string> names = {
      "h800-2048",       "h800-512",        "h800-256",    "h100-2048",  "h100-256",  "h200-2048",
      "h200-256",        "gb200-nvl72-576", "gb200-nvl72", "h800-16384", "gb200-256", "gb300-256",
      "gb300-nvl72-576", "gb300-nvl72",     "b200-256",    "b300-256"};
  return names;
}

Cluster read_cluster(const std::string& text, const std::string& source) {
  const Json root = parse_toml(text, source).root;
  check_keys(root, source);
  Cluster cluster;
  cluster.name = source;
  cluster.gpu = gpu_of_file(root, source);
  if (const Json* name = root.find("name")) {
    cluster.name = one_line(text_of(*name, source + ": name"), 100);
  }
  for (const Key& key : kKeys) {
    const std::string where = source + ": " + key.name;
    const Json* value = root.find(key.name);
    if (value) {
      cluster.gpu.*key.field = number_in_range(*value, where, key.least, key.most) * key.unit;
      cluster.gpu.origin = Origin::kGiven;
      cluster.gpu.source = source;
    } else if (!root.find("gpu") && key.field != &GpuFigures::fp8_flops &&
               key.field != &GpuFigures::price) {
      throw FormatError(
          concat(where, ": missing (expected a number); or start from gpu = \"h800\""));
    }
  }
  if (const Json* value = root.find("gpus_per_node")) {
    cluster.gpu.gpus_per_node = count_in_range(*value, source + ": gpus_per_node");
  }
  const Json* nodes = root.find("nodes");
  if (!nodes) throw FormatError(concat(source, ": nodes: missing (expected how many machines)"));
  cluster.nodes = count_in_range(*nodes, source + ": nodes");
  if (cluster.gpus() > kMaxGpus) {
    throw FormatError(concat(source, ": nodes: too many GPUs (found ", cluster.gpus(),
                             ", expected at most ", kMaxGpus, ")"));
  }
  return cluster;
}

Cluster find_cluster(const std::string& name_or_file) {
  std::error_code ignored;
  if (name_or_file.ends_with(".toml") || std::filesystem::is_regular_file(name_or_file, ignored)) {
    return read_cluster(read_text_file(name_or_file, 1 << 20), name_or_file);
  }
  const std::string name = without_domain(lower_case(name_or_file.substr(0, 100)));
  const size_t dash = name.rfind('-');
  const GpuFigures* gpu = dash == std::string::npos ? nullptr : find_gpu(name.substr(0, dash));
  int64_t gpus = 0;
  if (gpu) {
    const char* begin = name.data() + dash + 1;
    const auto [end, error] = std::from_chars(begin, name.data() + name.size(), gpus);
    if (error != std::errc() || end != name.data() + name.size()) gpu = nullptr;
  }
  require(gpu != nullptr, {.field = "cluster",
                           .problem = "no such cluster",
                           .found = in_quotes(name_or_file),
                           .expected = "a TOML file or GPU-COUNT, as h800-2048",
                           .advice = did_you_mean(name, built_in_clusters())});
  Cluster cluster = {name_or_file, *gpu};
  cluster.gpu.gpus_per_node = gpus > 0 && gpus <= kMaxGpus ? used_per_node(*gpu, gpus) : 0;
  const bool whole = gpu->gpus_per_node == gpu->gpus_per_tray;
  require(
      cluster.gpu.gpus_per_node > 0,
      {.field = "cluster",
       .problem = "not a number of whole nodes",
       .found = {gpus, " GPUs"},
       .expected = {"a multiple of ", gpu->gpus_per_tray,
                    whole ? "" : concat(" that domains of ", gpu->gpus_per_node, " share evenly"),
                    ", at most ", kMaxGpus}});
  cluster.nodes = gpus / cluster.gpu.gpus_per_node;
  return cluster;
}

void add_cluster(Worksheet& sheet, const Cluster& cluster) {
  sheet.section("cluster", "Cluster: " + cluster.name);
  const GpuFigures& gpu = cluster.gpu;
  const auto figure = [&](const char* name, double value, const char* unit, const char* what) {
    sheet.input(name, value, unit, gpu.origin, concat(what, "; ", gpu.source));
  };
  sheet.input("nodes", static_cast<double>(cluster.nodes), "", Origin::kGiven, cluster.name);
  figure("gpus_per_node", static_cast<double>(gpu.gpus_per_node), "",
         "that NVLink connects, as many as are used");
  sheet.formula("gpus", "nodes * gpus_per_node", "", "all that train");
  figure("gpu_bf16_flops", gpu.bf16_flops, "FLOP/s", "dense BF16 peak");
  figure("gpu_fp8_flops", gpu.fp8_flops, "FLOP/s", "dense FP8 peak; 0: no such units");
  figure("gpu_memory", gpu.memory, "B", "memory of one GPU");
  figure("gpu_memory_bandwidth", gpu.memory_bandwidth, "B/s", "memory bandwidth");
  figure("nvlink_bandwidth", gpu.nvlink_bandwidth, "B/s", "one way, effective, inside a node");
  figure("nic_bandwidth", gpu.nic_bandwidth, "B/s", "one way, per GPU, between nodes");
  sheet.input(
      "gpu_dense_share", gpu.dense_share, "fraction", Origin::kMeasured,
      "of the FP8 peak that training of Llama 3.1 405B in FP8 reaches, Megatron-Bridge 26.06;"
      " 0: not published");
  figure("gpu_price", gpu.price, "USD/GPU-hour", "rental price");
}

}  // namespace hadal
