// comm/wait_patiently.h: waiting for a message that may take as long as it likes, because its sender reads text,
// loads a model or talks to a person. A rank that fails ends it all the same.
#pragma once

#include <chrono>
#include <thread>

namespace hadal {

// `awaited`: a Receipt or an Exchange. What is answered at once costs no sleep.
template <class Awaited>
void wait_patiently(Awaited& awaited) {
  constexpr int kQuickLooks = 1000;
  constexpr std::chrono::microseconds kBetweenLooks{100};  // small beside a pass or a step
  for (int look = 0; !awaited.arrived(); ++look) {
    if (look < kQuickLooks) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kBetweenLooks);
    }
  }
}

}  // namespace hadal
