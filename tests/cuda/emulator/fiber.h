#pragma once
#include <ucontext.h>

#include <cstddef>

namespace emulator {

/// A place where a fiber, or the program itself, stopped, and where it goes on.
struct Context {
  void* stack_pointer = nullptr;  // of this and of the next only one is in use: fiber.cpp says which
  ucontext_t system{};
  const void* stack = nullptr;
  std::size_t stack_bytes = 0;
  void* fake_stack = nullptr;  // AddressSanitizer's
  void* identity = nullptr;    // ThreadSanitizer's
};

/// A function that can stop in its middle and go on later: it runs on a stack of its own. All fibers share the thread
/// of the program that resumes them, so only one of them runs at a time.
class Fiber {
 public:
  /// Runs body() on the fiber's stack until it yields or ends. The fiber must be new, or its last body at its end.
  void start(void (*body)());
  /// Goes on after yield().
  void resume();
  /// Back to whoever called start() or resume().
  static void yield();

  /// Whether this address lies just beyond the stack of a fiber, where only too deep calls and too large arrays lead.
  static bool overflowed(const void* address);

 private:
  Context context_;
  void (*body_)() = nullptr;

  void prepare();
  static void entry();
};

}  // namespace emulator
