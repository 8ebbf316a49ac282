#include "optim/training/interrupt.h"

#include <atomic>
#include <csignal>

namespace bobbin {
namespace {

std::atomic<int> signal_received{0};  // the handler may run on any thread
static_assert(std::atomic<int>::is_always_lock_free);

using Handler = void (*)(int);
Handler old_interrupt = SIG_DFL, old_terminate = SIG_DFL;

extern "C" void note_signal(int signal) {
  signal_received = signal;
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace

Interrupt::Interrupt() {
  signal_received = 0;
  old_interrupt = std::signal(SIGINT, note_signal);
  old_terminate = std::signal(SIGTERM, note_signal);
}

Interrupt::~Interrupt() {
  std::signal(SIGINT, old_interrupt);
  std::signal(SIGTERM, old_terminate);
}

int Interrupt::received() { return signal_received; }

}  // namespace bobbin
