#pragma once
#include <cstddef>

/// What the emulator tells the sanitizers of the compiler, if the program is built with one; else nothing.
///
/// AddressSanitizer hears which device memory may be touched when. ThreadSanitizer sees each CUDA thread as a thread
/// (a "fiber") of its own, for which only the barriers order anything: so it reports the races of kernels.

#if defined(__SANITIZE_ADDRESS__)
#define EMULATOR_ASAN
#elif defined(__SANITIZE_THREAD__)
#define EMULATOR_TSAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATOR_ASAN
#elif __has_feature(thread_sanitizer)
#define EMULATOR_TSAN
#endif
#endif

#ifdef EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef EMULATOR_TSAN
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace emulator {

#ifdef EMULATOR_TSAN
constexpr bool finds_races = true;
/// What comes before release(clock) in one thread comes before what follows acquire(clock) in another.
inline void release(void* clock) { __tsan_release(clock); }
inline void acquire(void* clock) { __tsan_acquire(clock); }
#else
constexpr bool finds_races = false;
inline void release(void*) {}
inline void acquire(void*) {}
#endif

/// While it lives: the emulator's own bookkeeping, of which all CUDA threads take part, and which is no race.
struct Bookkeeping {
#ifdef EMULATOR_TSAN
  Bookkeeping() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Bookkeeping() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
#else
  Bookkeeping() {}
  ~Bookkeeping() {}
#endif
  Bookkeeping(const Bookkeeping&) = delete;
};

#ifdef EMULATOR_ASAN
/// From poison() on, code that is built with AddressSanitizer and touches these bytes is reported.
inline void poison(const void* memory, std::size_t bytes) { __asan_poison_memory_region(memory, bytes); }
inline void unpoison(const void* memory, std::size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
#else
inline void poison(const void*, std::size_t) {}
inline void unpoison(const void*, std::size_t) {}
#endif

}  // namespace emulator
