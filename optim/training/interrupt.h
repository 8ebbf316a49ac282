#pragma once

namespace bobbin {

/// While one exists, Ctrl-C (SIGINT), SIGTERM, a terminal that is closed (SIGHUP) and a pipe that nobody reads any more
/// (SIGPIPE) only leave a note, so that a program can finish its step and write what it has. Ctrl-C after that ends the
/// program as usual; the others, which a scheduler or a terminal may well send twice, do not. What the program's parent
/// made it ignore, as nohup does SIGHUP, stays ignored. One at a time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// The signal that has come since the last one was made, or 0.
  static int received();
  /// Notes a signal that another process of the run has received.
  static void note(int signal);
};

}  // namespace bobbin
