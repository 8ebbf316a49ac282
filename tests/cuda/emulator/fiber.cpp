#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "sanitizers.h"

// To change from one stack to another is to save the registers that a function has to preserve, and to load those of
// the other stack; all else, the compiler does not expect to find again after a call. Where we have no such code,
// POSIX's swapcontext() does it, some twenty times slower, for it asks the system to save the mask of signals as well.
#ifdef __x86_64__
#define EMULATOR_CHANGE_STACK
extern "C" void emulator_change_stack(void** old_stack_pointer, void* new_stack_pointer);
asm(R"(
  .text
  .globl emulator_change_stack
  .type emulator_change_stack, @function
emulator_change_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size emulator_change_stack, . - emulator_change_stack
)");
#endif

namespace emulator {
namespace {

#ifdef EMULATOR_TSAN
constexpr std::size_t stack_bytes = 60 << 10;  // it gives out many stacks, and asks the system for any above 64 KB
#else
constexpr std::size_t stack_bytes = 128 << 10;
#endif
constexpr std::size_t guard_bytes = 64 << 10;  // more than a function's variables are likely to skip

Context program;           // where the program waits for the fiber that runs
Fiber* running = nullptr;  // that one
std::vector<const char*>& guards = *new std::vector<const char*>;

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
#else
// A stack, with a range below it that nobody may touch.
void* map_stack() {
  void* const memory = mmap(nullptr, guard_bytes + stack_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, guard_bytes, PROT_NONE) != 0) {
    std::perror("CUDA emulator: no memory for the stack of a thread");
    std::abort();
  }
  guards.push_back(static_cast<const char*>(memory));
  return static_cast<char*>(memory) + guard_bytes;
}
#endif

// What the sanitizers demand must stand right around the change itself, in one function that is no part of another.
__attribute__((noinline)) void change(Context& from, Context& to) {
#ifdef EMULATOR_ASAN
  __sanitizer_start_switch_fiber(&from.fake_stack, to.stack, to.stack_bytes);
#endif
#ifdef EMULATOR_TSAN
  __tsan_switch_to_fiber(to.identity, __tsan_switch_to_fiber_no_sync);  // to change is not to wait
#endif
#ifdef EMULATOR_CHANGE_STACK
  emulator_change_stack(&from.stack_pointer, to.stack_pointer);
#else
  swapcontext(&from.system, &to.system);
#endif
#ifdef EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(from.fake_stack, &to.stack, &to.stack_bytes);
#endif
}

}  // namespace

void Fiber::prepare() {
#ifdef EMULATOR_TSAN
  renew(context_);
#else
  if (context_.stack) return;  // it waits in entry() for its next body
  context_.stack = map_stack();
#endif
  context_.stack_bytes = stack_bytes;
#ifdef EMULATOR_CHANGE_STACK
  // What the change will find there: six registers, where to return to, and where that function would return to.
  auto* const top =
      reinterpret_cast<std::uintptr_t*>(static_cast<char*>(const_cast<void*>(context_.stack)) + stack_bytes);
  top[-2] = reinterpret_cast<std::uintptr_t>(entry);
  context_.stack_pointer = top - 2 - 6;
#else
  getcontext(&context_.system);
  context_.system.uc_stack.ss_sp = const_cast<void*>(context_.stack);
  context_.system.uc_stack.ss_size = stack_bytes;
  context_.system.uc_link = nullptr;
  makecontext(&context_.system, entry, 0);
#endif
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
    if (address >= guard && address < guard + guard_bytes) return true;
  return false;
}

}  // namespace emulator
