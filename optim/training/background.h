#pragma once
#include <cstddef>
#include <deque>
#include <functional>
#include <future>

namespace bobbin {

/// Work that training does not wait for, such as forcing files to the disk: one thing is done after the other, beside
/// the program. When it ends it waits for what is not done yet, and is silent of what went wrong there.
class Background {
 public:
  /// Has work() called after all that was begun before, on another thread: it may touch no tensor. Throws as
  /// look_after(), and waits where much is not done yet.
  void begin(std::function<void()> work);

  /// Throws what has gone wrong by now, once. What was begun after that is not done.
  void look_after() { wait_for_all_but(much); }

  /// Waits until all is done. Throws as look_after().
  void wait() { wait_for_all_but(0); }

 private:
  static constexpr std::size_t much = 2;  // each has a file in memory
  void wait_for_all_but(std::size_t count);

  std::deque<std::shared_future<void>> begun_;  // each waits for the one before
};

}  // namespace bobbin
