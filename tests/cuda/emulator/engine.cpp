#include "engine.h"

#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <unordered_map>

#include "fiber.h"
#include "memory.h"
#include "ptx.h"
#include "sanitizers.h"

namespace emulator {

Position position;

namespace {

constexpr unsigned warp_size = 32;
constexpr std::size_t shared_memory = 48 << 10;  // of a block

// --- the state of the launch that runs --------------------------------------------------------------------

enum class State { fresh, ready, at_barrier, at_warp_operation, returned };

struct Thread {
  uint3 index;
  unsigned id;
  State state;
  const char* site;                 // where it waits
  unsigned mask;                    // for whom, if within a warp
  std::uint64_t value;              // what it brings
  std::uint64_t values[warp_size];  // what all brought
  Fiber* fiber;
};

// ThreadSanitizer's clock for those who wait for one another. Two in turn: who still leaves one barrier does not meet
// those who arrive at the next.
struct Clock {
  char sides[2];
  unsigned side = 0;
};

struct Warp {
  unsigned waiting = 0;
  Clock* clock = nullptr;
};

struct SharedArray {
  const void* tag;
  char* memory;
  std::size_t bytes;
};

struct Grid {
  const Launch* launch = nullptr;
  const std::string* name = nullptr;
  const void* ptx = nullptr;
  unsigned seed = 0;

  // Of the block that runs.
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<unsigned> order;  // in which threads take turns
  std::size_t turn = 0;         // in this order
  Thread* current = nullptr;
  unsigned at_barrier = 0, returned = 0;
  Clock* clock = nullptr;
  std::vector<Clock> clocks;
  std::vector<SharedArray> shared;

  std::vector<Fiber*> idle;
  char end = 0;  // the clock of all that the launch did
};
// Never destroyed, and neither are its fibers.
Grid& grid = *new Grid;

// The name of a kernel, with the types of its arguments. Needs -rdynamic.
const std::string& name_of(const void* kernel) {
  static std::unordered_map<const void*, std::string> names;
  std::string& name = names[kernel];
  if (!name.empty()) return name;
  Dl_info info{};
  if (dladdr(kernel, &info) == 0 || !info.dli_sname) return name = "a kernel";
  int status = 0;
  char* const readable = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
  name = std::string("kernel ") + (readable ? readable : info.dli_sname);
  std::free(readable);
  return name;
}

std::string text(const uint3& i) {
  return "(" + std::to_string(i.x) + ", " + std::to_string(i.y) + ", " + std::to_string(i.z) + ")";
}

// --- who is next ------------------------------------------------------------------------------------------

// 0 ... n-1: forward, backward, or groups in random order and random order in each of them.
void arrange(std::vector<unsigned>& order, std::size_t n, std::size_t group, std::minstd_rand& random) {
  order.resize(n);
  std::iota(order.begin(), order.end(), 0u);
  if (grid.seed == 1) std::reverse(order.begin(), order.end());
  if (grid.seed < 2) return;
  const auto shuffle = [&](auto begin, auto end) {
    for (auto i = end - begin - 1; i > 0; --i) std::swap(begin[i], begin[random() % static_cast<unsigned long>(i + 1)]);
  };
  const std::size_t groups = (n + group - 1) / group;
  std::vector<unsigned> first(groups);
  for (std::size_t g = 0; g < groups; ++g) first[g] = static_cast<unsigned>(g * group);
  shuffle(first.begin(), first.end());
  auto out = order.begin();
  for (const unsigned begin : first) {
    const auto start = out;
    for (std::size_t i = begin; i < std::min(n, begin + group); ++i) *out++ = static_cast<unsigned>(i);
    shuffle(start, out);
  }
}

bool can_run(const Thread& t) { return t.state == State::fresh || t.state == State::ready; }

// Whose turn it is; null if nobody can go on.
Thread* next() {
  const std::size_t n = grid.order.size();
  for (std::size_t tried = 0, i = grid.turn; tried < n; ++tried, i = i + 1 < n ? i + 1 : 0) {
    Thread& t = grid.threads[grid.order[i]];
    if (!can_run(t)) continue;
    grid.turn = i;
    return &t;
  }
  return nullptr;
}

void begin_turn(Thread& t) {
  grid.current = &t;
  position.thread = t.index;
  position.lane = t.id % warp_size;
  ++grid.turn;
  const bool end_of_warp = grid.turn % warp_size == 0;
  if (grid.turn == grid.order.size() || (end_of_warp && grid.seed % 2 == 1)) grid.turn = 0;
}

// Nobody can go on, and not all have returned: a GPU would hang, or worse, not.
[[noreturn]] void die_stuck() {
  static const char* const names[] = {"not started", "ready", "waits at __syncthreads of", "waits for its warp at",
                                      "has returned"};
  const Thread* last = nullptr;
  for (const Thread& t : grid.threads) {
    if (!last || t.state != last->state || t.site != last->site)
      std::fprintf(stderr, "  from thread %u on: %s %s\n", t.id, names[static_cast<int>(t.state)],
                   t.state == State::returned ? "" : t.site);
    last = &t;
  }
  die("not all threads come to the same barrier or exchange", "the list above says where they wait");
}

// The current thread waits until another one makes it ready. Others run in the meantime.
void wait() { Fiber::yield(); }

// --- running ----------------------------------------------------------------------------------------------

// The body of a fiber: a thread, and, as long as these have not begun, the threads after it. So a kernel without
// barriers needs a single fiber for all its threads.
void run_threads() {
  Thread* t = grid.current;
  for (;;) {
    if (grid.ptx)
      ptx::run(grid.ptx, grid.launch->arguments);
    else
      grid.launch->call(grid.launch->kernel, grid.launch->arguments);
    release(&grid.end);
    const Bookkeeping unseen;
    t = grid.current;
    t->state = State::returned;
    ++grid.returned;
    Thread* const following = finds_races ? nullptr : next();  // there each thread needs a fiber of its own
    if (!following || following->state != State::fresh) return;
    following->fiber = t->fiber;
    following->state = State::ready;
    begin_turn(*following);
  }
}

void run_turn(Thread& t) {
  begin_turn(t);
  if (t.state == State::ready) {
    t.fiber->resume();
  } else {
    if (grid.idle.empty()) grid.idle.push_back(new Fiber);
    t.fiber = grid.idle.back();
    grid.idle.pop_back();
    t.state = State::ready;
    t.fiber->start(run_threads);
  }
  if (grid.current->state == State::returned) grid.idle.push_back(grid.current->fiber);
}

// Shared arrays are fresh for each block, so that nothing is left of the last one; with room behind, to notice a number
// too many. AddressSanitizer has its own, and notices it at once.
#ifdef EMULATOR_ASAN
constexpr std::size_t guard_bytes = 0;
#else
constexpr std::size_t guard_bytes = 64;
#endif
constexpr unsigned char guard_byte = 0xfe, nan_byte = 0xff;

void free_shared() {
  for (const SharedArray& a : grid.shared) {
    for (std::size_t i = 0; i < guard_bytes; ++i)
      if (static_cast<unsigned char>(a.memory[a.bytes + i]) != guard_byte)
        die("a kernel writes " + std::to_string(i) + " bytes beyond the end of a shared array of " +
                std::to_string(a.bytes) + " bytes",
            *grid.name);
    std::free(a.memory);
  }
  grid.shared.clear();
}

void run_block(uint3 index, std::minstd_rand& random) {
  position.block = index;
  if (grid.seed >= 2) arrange(grid.order, grid.threads.size(), warp_size, random);
  for (Thread& t : grid.threads) t.state = State::fresh;
  // Clocks of their own for each block: blocks do not wait for one another.
  if (finds_races) grid.clocks = std::vector<Clock>(1 + grid.warps.size());
  grid.clock = &grid.clocks[0];
  for (std::size_t w = 0; w < grid.warps.size(); ++w) grid.warps[w].clock = &grid.clocks[finds_races ? 1 + w : 0];
  grid.turn = grid.returned = 0;
  while (Thread* t = next()) run_turn(*t);
  if (grid.returned < grid.threads.size()) die_stuck();
  free_shared();
}

void prepare_threads(const dim3& block) {
  const unsigned n = block.x * block.y * block.z;
  grid.threads.resize(n);
  for (unsigned i = 0; i < n; ++i) {
    grid.threads[i].id = i;
    grid.threads[i].index = {i % block.x, i / block.x % block.y, i / block.x / block.y};
  }
  grid.warps.resize((n + warp_size - 1) / warp_size);
}

bool possible(const dim3& grid_size, const dim3& block) {
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  return threads > 0 && block.x <= 1024 && block.y <= 1024 && block.z <= 64 && threads <= 1024 && grid_size.x > 0 &&
         grid_size.y > 0 && grid_size.z > 0 && grid_size.x <= 0x7fffffff && grid_size.y <= 65535 &&
         grid_size.z <= 65535;
}

// In how many parts memory is compared with what it was, to find blocks that write the same word. A part is a block, if
// that costs little, or else some of them; never less than eight, so that a word that all blocks write to is found.
std::size_t blocks_of_part(std::size_t blocks, std::size_t bytes) {
  constexpr std::size_t bytes_to_compare = 16 << 20;
  const std::size_t parts = std::clamp<std::size_t>(bytes_to_compare / std::max<std::size_t>(bytes, 1), 8, blocks);
  return (blocks + parts - 1) / parts;
}

}  // namespace

void die(const std::string& what, const std::string& where) {
  std::string place = where;
  if (grid.current) {
    if (where != *grid.name) place += ", in " + *grid.name;
    place += ", block " + text(position.block) + ", thread " + text(position.thread);
  }
  std::fprintf(stderr, "CUDA emulator: %s (%s).\n", what.c_str(), place.c_str());
  std::fflush(stderr);
  std::abort();
}

// --- barriers ---------------------------------------------------------------------------------------------

void sync_block(const char* site) {
  const Bookkeeping unseen;
  Thread& t = *grid.current;
  char* const clock = &grid.clock->sides[grid.clock->side];
  release(clock);
  t.site = site;
  t.state = State::at_barrier;
  if (++grid.at_barrier < grid.threads.size()) {
    wait();
  } else {
    grid.at_barrier = 0;
    grid.clock->side ^= 1;
    for (Thread& u : grid.threads) {
      if (u.site != site && std::strcmp(u.site, site) != 0) die_stuck();
      u.state = State::ready;
    }
  }
  acquire(clock);
}

const std::uint64_t* sync_warp(unsigned mask, std::uint64_t value, const char* site, bool orders_memory) {
  const Bookkeeping unseen;
  Thread& t = *grid.current;
  const unsigned warp = t.id / warp_size, first = warp * warp_size;
  const unsigned lanes = std::min(warp_size, static_cast<unsigned>(grid.threads.size()) - first);
  if ((mask >> (t.id - first) & 1) == 0) die("a thread is not in the mask that it names", site);
  if (lanes < warp_size && mask >> lanes != 0) die("a mask names lanes that the warp does not have", site);
  Warp& w = grid.warps[warp];
  char* const clock = &w.clock->sides[w.clock->side];
  if (orders_memory) release(clock);
  t.site = site;
  t.mask = mask;
  t.value = value;
  t.state = State::at_warp_operation;
  const auto in_mask = [mask](unsigned l) { return (mask >> l & 1) != 0; };
  const auto has_come = [&](const Thread& u) {
    return u.state == State::at_warp_operation && u.mask == mask && (u.site == site || std::strcmp(u.site, site) == 0);
  };
  const unsigned expected = static_cast<unsigned>(__builtin_popcount(mask));
  bool complete = ++w.waiting >= expected;
  for (unsigned l = 0; complete && l < lanes; ++l) complete = !in_mask(l) || has_come(grid.threads[first + l]);
  if (!complete) {
    wait();
  } else {
    w.waiting -= expected;
    w.clock->side ^= 1;
    for (unsigned l = 0; l < lanes; ++l) t.values[l] = in_mask(l) ? grid.threads[first + l].value : ~std::uint64_t{0};
    for (unsigned l = 0; l < lanes; ++l) {
      Thread& u = grid.threads[first + l];
      if (!in_mask(l)) continue;
      u.state = State::ready;
      if (&u != &t) std::memcpy(u.values, t.values, sizeof t.values);
    }
  }
  if (orders_memory) acquire(clock);
  return t.values;
}

void* shared(const void* tag, std::size_t bytes) {
  const Bookkeeping unseen;
  std::size_t used = 0;
  for (const SharedArray& a : grid.shared) {
    if (a.tag == tag) return a.memory;
    used += a.bytes;
  }
  if (used + bytes > shared_memory) die("a block wants more than 48 KB of shared memory", *grid.name);
  void* memory = nullptr;
  if (posix_memalign(&memory, 16, bytes + guard_bytes) != 0) die("no memory for a shared array", *grid.name);
  std::memset(memory, nan_byte, bytes);
  std::memset(static_cast<char*>(memory) + bytes, guard_byte, guard_bytes);
  grid.shared.push_back({tag, static_cast<char*>(memory), bytes});
  return memory;
}

// --- launches ---------------------------------------------------------------------------------------------

cudaError_t run(const Launch& launch) {
  if (!possible(launch.grid, launch.block)) return cudaErrorInvalidConfiguration;
  const Bookkeeping unseen;
  const std::string& name = name_of(launch.kernel);
  memory::Access access(name);
  for (std::size_t i = 0; i < launch.pointers.size(); ++i) {
    const auto [address, writable] = launch.pointers[i];
    if (!address) continue;
    const memory::Allocation* const allocation = memory::find(address);
    if (!allocation)
      die("pointer " + std::to_string(i + 1) + " of the arguments does not point to device memory", name);
    access.open(*allocation, writable);
  }

  const char* const seed = std::getenv("CUDA_EMULATOR_SEED");
  grid.seed = seed ? static_cast<unsigned>(std::atoi(seed)) : 0;
  grid.launch = &launch;
  grid.name = &name;
  grid.ptx = ptx::find(launch.kernel);
  grid.clocks.resize(1);
  prepare_threads(launch.block);
  position.block_dim = launch.block;
  position.grid_dim = launch.grid;

  std::minstd_rand random(grid.seed);
  arrange(grid.order, grid.threads.size(), warp_size, random);
  const dim3& g = launch.grid;
  const std::size_t blocks = std::size_t{g.x} * g.y * g.z;
  static std::vector<unsigned> order;
  arrange(order, blocks, 1, random);
  const std::size_t part = blocks_of_part(blocks, access.writable_bytes());
  if (part < blocks) access.watch();
  for (std::size_t i = 0; i < blocks; ++i) {
    const unsigned b = order[i];
    run_block({b % g.x, b / g.x % g.y, b / g.x / g.y}, random);
    if (part < blocks && ((i + 1) % part == 0 || i + 1 == blocks)) access.next_part();
  }
  grid.current = nullptr;
  acquire(&grid.end);
  return cudaSuccess;
}

}  // namespace emulator

// Until there is an interpreter of PTX, no kernel has any.
__attribute__((weak)) const void* emulator::ptx::find(const void*) { return nullptr; }
__attribute__((weak)) void emulator::ptx::run(const void*, void**) {}
