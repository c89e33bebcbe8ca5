#include "hadal/core/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace hadal {
namespace {

volatile std::sig_atomic_t flag = 0;

void on_signal(int signal) {
  if (flag) _exit(130);
  flag = signal;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction hang_up = {};
  sigaction(SIGHUP, nullptr, &hang_up);
  if (hang_up.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
}

bool interrupted() { return flag != 0; }

void clear_interrupt() {
  if (flag == SIGINT) flag = 0;
}

}  // namespace hadal
