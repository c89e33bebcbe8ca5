// draw/load_maps.h: how a load lies on GPUs before and after it was placed, as a picture.
//
// Two heat maps: a row per layer, a column per GPU, colour = load over the mean GPU. Under each the
// GPUs of one layer as bars; beside them how far the heaviest GPU of every layer is above the mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hadal {

struct LoadMap {
  std::string name;
  double balancedness = 0;               // mean over heaviest GPU, mean of the layers
  std::vector<std::vector<double>> gpu;  // [L][G] load
  std::vector<double> heaviest;          // [L] heaviest GPU over mean GPU
};

// L = layers, G = GPUs.
struct LoadMaps {
  std::string subtitle;
  std::vector<int64_t> layers;  // [L] their numbers
  int64_t n_gpus = 1, n_nodes = 1;
  LoadMap before, after;
  size_t shown_layer = 0;  // index of the layer whose GPUs are drawn as bars
};

// ConfigError if that is too much to draw.
std::string load_maps_svg(const LoadMaps& maps);

}  // namespace hadal
