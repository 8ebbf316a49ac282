#include "optim/interrupt.h"

#include <csignal>

namespace bobbin {
namespace {

volatile std::sig_atomic_t signal_received = 0;

extern "C" void note_signal(int signal) {
  signal_received = signal;
  std::signal(signal, SIG_DFL);
}

}  // namespace

Interrupt::Interrupt() {
  signal_received = 0;
  std::signal(SIGINT, note_signal);
  std::signal(SIGTERM, note_signal);
}

Interrupt::~Interrupt() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

int Interrupt::received() { return signal_received; }

}  // namespace bobbin
