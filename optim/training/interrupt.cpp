#include "optim/training/interrupt.h"

#include <array>
#include <atomic>
#include <csignal>

namespace bobbin {
namespace {

std::atomic<int> signal_received{0};  // the handler may run on any thread
static_assert(std::atomic<int>::is_always_lock_free);

constexpr std::array signals{SIGINT, SIGTERM, SIGHUP, SIGPIPE};
std::array<struct sigaction, signals.size()> before;

extern "C" void note_signal(int signal) {
  signal_received = signal;
  static_assert(signals[0] == SIGINT);
  if (before[0].sa_handler != SIG_IGN) std::signal(SIGINT, SIG_DFL);  // for the person who waits at the terminal
}

}  // namespace

Interrupt::Interrupt() {
  signal_received = 0;
  struct sigaction note {};
  note.sa_handler = note_signal;
  note.sa_flags = SA_RESTART;  // a read or a write goes on
  for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], nullptr, &before[i]);
  for (std::size_t i = 0; i < signals.size(); ++i)
    if (before[i].sa_handler != SIG_IGN) sigaction(signals[i], &note, nullptr);
}

Interrupt::~Interrupt() {
  for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &before[i], nullptr);
}

int Interrupt::received() { return signal_received; }
void Interrupt::note(int signal) { signal_received = signal; }

}  // namespace bobbin
