#include "apps/cli/signals.h"

#include <csignal>

namespace furrow::cli {
namespace {

volatile std::sig_atomic_t caught = 0;

extern "C" void on_signal(int number) {
  caught = number;
  std::signal(number, SIG_DFL);
}

}  // namespace

void catch_signals() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

int interrupted() { return caught == 0 ? 0 : 128 + caught; }

}  // namespace furrow::cli
