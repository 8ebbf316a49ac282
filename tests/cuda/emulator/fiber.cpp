// Fibers by the old functions of POSIX. makecontext() makes a stack, and setcontext() goes there for the first time.
// These ask the system to save the signal mask with each change, which takes longer than all the rest, so later changes
// are made by setjmp() and longjmp(), which save only registers. Sanitizers watch the latter two too closely: for them
// it is swapcontext() each time.
#undef _FORTIFY_SOURCE  // else longjmp() refuses to go to another stack
#include "fiber.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "sanitizers.h"

namespace emulator {
namespace {

constexpr std::size_t page = 4096, stack_bytes = 128 << 10;

Context program;           // where the program waits for the fiber that runs
Fiber* running = nullptr;  // that one
std::vector<const char*> guards;

// A stack, with a page below it that nobody may touch.
void* map_stack() {
  void* const memory =
      mmap(nullptr, page + stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0) {
    std::perror("CUDA emulator: no memory for the stack of a thread");
    std::abort();
  }
  guards.push_back(static_cast<const char*>(memory));
  return static_cast<char*>(memory) + page;
}

#ifdef EMULATOR_TSAN
// A fiber that begins anew is another CUDA thread: it gets a new identity, and a new stack, on which nothing is in
// common with the last. Identities that were given back are used again, which hides races: so they are kept for long.
void renew(Context& context) {
  static std::vector<void*> old;
  if (context.identity) old.push_back(context.identity);
  if (old.size() > 4096) {
    for (void* identity : old) __tsan_destroy_fiber(identity);
    old.clear();
  }
  context.identity = __tsan_create_fiber(0);
  std::free(const_cast<void*>(context.stack));
  context.stack = std::malloc(stack_bytes);
}
#endif

// From one place to another. What it calls and how often matters to the sanitizers, so it is no part of any other.
__attribute__((noinline)) void change(Context& from, Context& to) {
#if defined(EMULATOR_ASAN)
  __sanitizer_start_switch_fiber(&from.fake_stack, to.stack, to.stack_bytes);
  swapcontext(&from.first, &to.first);
  __sanitizer_finish_switch_fiber(from.fake_stack, &to.stack, &to.stack_bytes);
#elif defined(EMULATOR_TSAN)
  __tsan_switch_to_fiber(to.identity, __tsan_switch_to_fiber_no_sync);  // to change is not to wait
  swapcontext(&from.first, &to.first);
#else
  if (_setjmp(from.again) != 0) return;
  from.stopped = true;
  if (to.stopped) _longjmp(to.again, 1);
  setcontext(&to.first);
#endif
}

}  // namespace

void Fiber::prepare() {
#ifdef EMULATOR_TSAN
  renew(context_);
#else
  if (context_.stack) return;  // it waits in run() for its next body
  context_.stack = map_stack();
#endif
  context_.stack_bytes = stack_bytes;
  getcontext(&context_.first);
  context_.first.uc_stack.ss_sp = const_cast<void*>(context_.stack);
  context_.first.uc_stack.ss_size = stack_bytes;
  context_.first.uc_link = nullptr;
  makecontext(&context_.first, entry, 0);
}

void Fiber::entry() {
#ifdef EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &program.stack, &program.stack_bytes);
#endif
  for (;;) {
    running->body_();
    yield();
  }
}

void Fiber::start(void (*body)()) {
  prepare();
  body_ = body;
  resume();
}

void Fiber::resume() {
#ifdef EMULATOR_TSAN
  program.identity = __tsan_get_current_fiber();
#endif
  running = this;
  change(program, context_);
}

void Fiber::yield() { change(running->context_, program); }

bool Fiber::overflowed(const void* address) {
  for (const char* guard : guards)
    if (address >= guard && address < guard + page) return true;
  return false;
}

}  // namespace emulator
