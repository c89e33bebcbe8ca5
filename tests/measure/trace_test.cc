#include <gtest/gtest.h>

#include "hadal/measure/measurement.h"

namespace hadal {
namespace {

// Clocks of several threads overlap by a little: nobody is idle for less than no time.
TEST(Trace, IdlenessIsNeverBelowNothing) {
  PoolTrace trace;
  trace.regions = trace.parts = 1;
  trace.seconds = 1.0;
  trace.region_seconds = 0.9;
  trace.busy = {0.95, 0.97};
  Json details = Json::object();
  add_trace(details, trace, 1, "step");
  EXPECT_EQ(details.at("idle").as_number(), 0.0);
}

}  // namespace
}  // namespace hadal
