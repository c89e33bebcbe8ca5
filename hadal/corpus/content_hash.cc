#include "hadal/corpus/content_hash.h"

#include <xxhash.h>

#include <cstdio>
#include <memory>

#include "hadal/corpus/white_space.h"

namespace hadal {
ContentHash content_hash(std::string_view text) {
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  const std::unique_ptr<XXH3_state_t, Free> state(XXH3_createState());
  XXH3_128bits_reset(state.get());
  char buffer[4096];
  size_t used = 0;
  const auto put = [&](char c) {
    buffer[used++] = c;
    if (used == sizeof(buffer)) {
      XXH3_128bits_update(state.get(), buffer, used);
      used = 0;
    }
  };
  bool begun = false, gap = false;
  for (const char c : text) {
    if (is_space(c)) {
      gap = true;
      continue;
    }
    if (gap && begun) put(' ');
    begun = true;
    gap = false;
    put(c);
  }
  XXH3_128bits_update(state.get(), buffer, used);
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return {hash.high64, hash.low64};
}

ContentHash exact_hash(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

std::string hex(const ContentHash& hash) {
  char text[33];
  std::snprintf(text, sizeof(text), "%016llx%016llx", static_cast<unsigned long long>(hash.high),
                static_cast<unsigned long long>(hash.low));
  return text;
}

}  // namespace hadal
