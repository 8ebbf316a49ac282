#pragma once

namespace bobbin {

/// While one exists, Ctrl-C (SIGINT) and SIGTERM only leave a note, so that a program can finish its step and
/// write what it has. A second signal ends the program as usual. One at a time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// The signal that has come since the last one was made, or 0.
  static int received();
};

}  // namespace bobbin
