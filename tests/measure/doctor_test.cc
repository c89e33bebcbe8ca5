#include "hadal/measure/doctor.h"

#include <gtest/gtest.h>

#include <set>

namespace hadal {
namespace {

TEST(Doctor, NamesEveryPartOnceAndSaysWhatItFound) {
  ThreadPool pool(1);
  std::set<std::string> names;
  for (const Check& check : examine_machine(pool)) {
    EXPECT_TRUE(names.insert(check.name).second) << check.name;
    EXPECT_FALSE(check.found.empty()) << check.name;
  }
  for (const char* expected :
       {"cores", "simd", "memory", "bandwidth", "disk", "cache", "mpi", "gpu"}) {
    EXPECT_TRUE(names.contains(expected)) << expected;
  }
}

}  // namespace
}  // namespace hadal
