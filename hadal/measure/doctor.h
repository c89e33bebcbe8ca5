// measure/doctor.h: what this machine has, and what would stop hadal on it.
#pragma once

#include <string>
#include <vector>

#include "hadal/core/thread_pool.h"

namespace hadal {

struct Check {
  std::string name;
  bool ok = false;    // false: something hadal wants is missing; optional parts count as ok
  std::string found;  // with its unit
};

// Bytes that a new program may take without pushing others out; 0 where the system does not say.
double available_memory_bytes();

// Measures the roofs too, for about half a second.
std::vector<Check> examine_machine(ThreadPool& pool);

}  // namespace hadal
