#include "memory.h"

#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "engine.h"
#include "fiber.h"
#include "sanitizers.h"

namespace emulator::memory {

std::string explain(const void* address);

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t alignment = 256;                   // of allocations, as CUDA's
constexpr std::size_t reserved = std::size_t{64} << 30;  // addresses, not memory
constexpr int nan_byte = 0xff;                           // four of them are a NaN, and so are eight

std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

// A handler for touching what is locked. It must be ours, also after somebody else put in his own.
void catch_faults();

// What blocks must not share, the smallest number that our kernels write: a bfloat16.
constexpr std::size_t word = 2;

// Three ranges. For each word of the device: what it is, what it was when the part of the launch that runs began, and
// the number of the part that changed it last.
struct Arena {
  char *words, *before, *changed_by;
  char* next;                              // free from here on
  std::map<const char*, Allocation> live;  // by their first byte
  std::size_t in_use = 0;
  const Access* access = nullptr;  // the one that lives now
  std::uint32_t part = 0;          // counts on through all launches

  Arena()
      : words(reserve(PROT_NONE)),
        before(reserve(PROT_READ | PROT_WRITE)),
        changed_by(reserve(PROT_READ | PROT_WRITE, sizeof(std::uint32_t) / word)),
        next(words) {}

  static char* reserve(int protection, std::size_t times = 1) {
    void* const range = mmap(nullptr, times * reserved, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) die("no ranges of 64 and 128 GB of addresses are to be had for its memory", "mmap");
    return static_cast<char*>(range);
  }
  char* before_of(const char* address) const { return before + (address - words); }
  std::uint32_t* changed_by_of(const char* address) const {
    return reinterpret_cast<std::uint32_t*>(changed_by) + static_cast<std::size_t>(address - words) / word;
  }
};

// Never destroyed: the program may release memory to its very end.
Arena& arena() {
  static Arena* const instance = new Arena;
  return *instance;
}

// The pages of an allocation. It ends with the last of them, but for what alignment demands.
struct Pages {
  char* begin;
  std::size_t bytes;
};
Pages pages(const Allocation& a) {
  const std::size_t bytes = std::max(page, round_up(a.bytes, page));
  return {a.begin + round_up(a.bytes, alignment) - bytes, bytes};
}

void protect(const Allocation& a, int protection) {
  const Pages p = pages(a);
  if (mprotect(p.begin, p.bytes, protection) != 0) die("cannot change the protection of memory", "mprotect");
}

void lock(const Allocation& a) {
  poison(a.begin, a.bytes);
  protect(a, PROT_NONE);
}
void unlock(const Allocation& a, bool writable) {
  protect(a, writable ? PROT_READ | PROT_WRITE : PROT_READ);
  unpoison(a.begin, a.bytes);
}

// Between the last number and the end of the page, where a number too many is not noticed by itself, lies NaN: at each
// address another one, so that a kernel that takes it from there to another array is noticed, too.
unsigned char slack_byte(const char* byte) {
  const auto address = reinterpret_cast<std::uintptr_t>(byte);
  const std::uint32_t nan = 0xffc00000 | (address / sizeof nan & 0x3fffff);
  return static_cast<unsigned char>(nan >> address % sizeof nan * 8);
}

void fill_slack(const Allocation& a) {
  char* const end = a.begin + round_up(a.bytes, alignment);
  for (char* p = a.begin + a.bytes; p < end; ++p) *p = static_cast<char>(slack_byte(p));
}

void check_slack(const Allocation& a, const std::string& user) {
  const char* const end = a.begin + round_up(a.bytes, alignment);
  unpoison(a.begin, static_cast<std::size_t>(end - a.begin));
  for (const char* p = a.begin + a.bytes; p < end; ++p)
    if (static_cast<unsigned char>(*p) != slack_byte(p))
      die("a kernel wrote " + std::to_string(p - a.begin - static_cast<std::ptrdiff_t>(a.bytes)) +
              " bytes beyond the end of an allocation of " + std::to_string(a.bytes) + " bytes",
          user);
  poison(a.begin, static_cast<std::size_t>(end - a.begin));
}

struct sigaction others_handler {};

void on_fault(int, siginfo_t* info, void*) {
  const void* const address = info->si_addr;
  if (on_device(address)) die(explain(address), arena().access ? arena().access->user() : "in the program itself");
  if (Fiber::overflowed(address))
    die("a CUDA thread needs more than its stack of 128 KB", "too deep calls or too large arrays");
  sigaction(SIGSEGV, &others_handler, nullptr);  // not ours: on return it happens again, and is theirs
}

void catch_faults() {
  struct sigaction ours {};
  ours.sa_sigaction = on_fault;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  struct sigaction previous {};
  sigaction(SIGSEGV, &ours, &previous);
  if (previous.sa_sigaction != on_fault) others_handler = previous;
  // On a stack of its own, for when that of a thread is full.
  static char* const stack = static_cast<char*>(std::malloc(64 << 10));
  stack_t now{};
  sigaltstack(nullptr, &now);
  if (!(now.ss_flags & SS_DISABLE)) return;
  stack_t alternative{};
  alternative.ss_sp = stack;
  alternative.ss_size = 64 << 10;
  sigaltstack(&alternative, nullptr);
}

}  // namespace

// What is wrong with touching this address now.
std::string explain(const void* address) {
  const Arena& all = arena();
  char text[200];
  const auto* const byte = static_cast<const char*>(address);
  const auto after = all.live.upper_bound(byte);
  if (after == all.live.begin()) {
    std::snprintf(text, sizeof text, "device memory at %p is touched, where nothing is allocated", address);
    return text;
  }
  const Allocation& a = std::prev(after)->second;
  const std::ptrdiff_t offset = byte - a.begin;
  const bool inside = offset < static_cast<std::ptrdiff_t>(a.bytes);
  if (!all.access && inside)
    std::snprintf(text, sizeof text,
                  "the program itself reads or writes device memory at %p, byte %td of an allocation of %zu bytes",
                  address, offset, a.bytes);
  else if (!inside)
    std::snprintf(
        text, sizeof text,
        "device memory at %p is touched, which is not allocated: the last allocation before it, of %zu bytes, begins "
        "%td bytes before it",
        address, a.bytes, offset);
  else {
    bool readable = false;
    for (const Access::Opened& o : all.access->opened_) readable = readable || o.allocation->begin == a.begin;
    std::snprintf(
        text, sizeof text,
        readable
            ? "byte %td of an allocation of %zu bytes is written, which is reached through pointers to const"
            : "byte %td of an allocation of %zu bytes is touched, into which no pointer among the arguments points",
        offset, a.bytes);
  }
  return text;
}

std::size_t free() {
  const char* const taken = std::getenv("CUDA_EMULATOR_TAKEN");
  const std::size_t used = arena().in_use + (taken ? std::strtoull(taken, nullptr, 10) : 0);
  return used < total ? total - used : 0;
}

void* allocate(std::size_t bytes) {
  Arena& all = arena();
  if (bytes > free()) return nullptr;
  const std::size_t span = std::max(page, round_up(bytes, page));
  if (span + page > static_cast<std::size_t>(all.words + reserved - all.next)) return nullptr;
  const Allocation a{all.next + span - round_up(bytes, alignment), bytes};
  all.next += span + page;
  all.live[a.begin] = a;
  all.in_use += bytes;
  protect(a, PROT_READ | PROT_WRITE);
  const Pages p = pages(a);
  std::memset(p.begin, nan_byte, p.bytes);
  fill_slack(a);
  poison(p.begin, p.bytes);
  lock(a);
  catch_faults();
  return a.begin;
}

bool release(void* begin) {
  Arena& all = arena();
  const auto found = all.live.find(static_cast<const char*>(begin));
  if (found == all.live.end()) return false;
  const Pages p = pages(found->second);
  all.in_use -= found->second.bytes;
  all.live.erase(found);
  madvise(p.begin, p.bytes, MADV_DONTNEED);
  madvise(all.before_of(p.begin), p.bytes, MADV_DONTNEED);
  madvise(all.changed_by_of(p.begin), p.bytes / word * sizeof(std::uint32_t), MADV_DONTNEED);
  return true;
}

bool on_device(const void* address) {
  const Arena& all = arena();
  return address >= all.words && address < all.words + reserved;
}

const Allocation* find(const void* address, std::size_t bytes) {
  const Arena& all = arena();
  const auto* const begin = static_cast<const char*>(address);
  const auto after = all.live.upper_bound(begin);
  if (after == all.live.begin()) return nullptr;
  const Allocation& a = std::prev(after)->second;
  const auto offset = static_cast<std::size_t>(begin - a.begin);
  return offset <= a.bytes && bytes <= a.bytes - offset ? &a : nullptr;
}

Access::Access(std::string user) : user_(std::move(user)) { arena().access = this; }

Access::~Access() {
  for (const Opened& o : opened_) {
    if (o.writable) check_slack(*o.allocation, user_);
    lock(*o.allocation);
  }
  arena().access = nullptr;
  catch_faults();
}

void Access::open(const Allocation& allocation, bool writable) {
  for (Opened& o : opened_)
    if (o.allocation == &allocation) {
      if (writable && !o.writable) unlock(allocation, true);
      o.writable = o.writable || writable;
      return;
    }
  unlock(allocation, writable);
  opened_.push_back({&allocation, writable});
}

std::size_t Access::writable_bytes() const {
  std::size_t bytes = 0;
  for (const Opened& o : opened_)
    if (o.writable) bytes += o.allocation->bytes;
  return bytes;
}

void Access::watch() {
  Arena& all = arena();
  first_part_ = ++all.part;
  for (const Opened& o : opened_)
    if (o.writable) std::memcpy(all.before_of(o.allocation->begin), o.allocation->begin, o.allocation->bytes);
}

void Access::next_part() {
  Arena& all = arena();
  for (const Opened& o : opened_) {
    if (!o.writable) continue;
    char* const end = o.allocation->begin + o.allocation->bytes;
    for (char* chunk = o.allocation->begin; chunk < end; chunk += page) {
      const std::size_t bytes = std::min(page, static_cast<std::size_t>(end - chunk));
      if (std::memcmp(chunk, all.before_of(chunk), bytes) == 0) continue;
      for (char* p = chunk; p < chunk + bytes; p += word) {
        const std::size_t size = std::min(word, static_cast<std::size_t>(chunk + bytes - p));
        if (std::memcmp(p, all.before_of(p), size) == 0) continue;
        std::uint32_t& changed_by = *all.changed_by_of(p);
        if (changed_by >= first_part_)
          die("two blocks write the same word, byte " + std::to_string(p - o.allocation->begin) +
                  " of an allocation of " + std::to_string(o.allocation->bytes) + " bytes",
              user_);
        changed_by = all.part;
        std::memcpy(all.before_of(p), p, size);
      }
    }
  }
  ++all.part;
}

}  // namespace emulator::memory
