#include "tensor/storage.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>

#include "tensor/backend.h"
#include "tensor/check.h"

namespace bobbin::memory {
namespace {

constexpr std::size_t line = 64;  // bytes of the cache's; aligned memory comes in whole ones

// A piece of a block that the system gave, between its neighbours there: the whole block, until it is cut.
struct Piece {
  char* at;
  std::size_t bytes;
  Piece *before = nullptr, *after = nullptr;
  bool free = false;
};

struct Cache {
  std::mutex mutex;
  std::multimap<std::size_t, Piece*> free_pieces;  // by size; of one size the last to come is the last here
  Stats stats;

  void put(Piece* piece) {
    piece->free = true;
    free_pieces.emplace(piece->bytes, piece);
    stats.cached += piece->bytes;
  }
  void take(std::multimap<std::size_t, Piece*>::iterator found) {
    found->second->free = false;
    stats.cached -= found->first;
    free_pieces.erase(found);
  }
  void take(Piece* piece) {
    auto found = free_pieces.lower_bound(piece->bytes);
    while (found->second != piece) ++found;
    take(found);
  }
};

// Never destroyed: a tensor in a static variable may outlive everything else.
Cache& cache() {
  static Cache* const instance = new Cache;
  return *instance;
}

// Only whole blocks can go.
void release_cached(Cache& c) {
  for (auto i = c.free_pieces.begin(); i != c.free_pieces.end();) {
    Piece* const piece = i->second;
    const auto current = i++;
    if (piece->before || piece->after) continue;
    c.take(current);
    backend::release(piece->at);
    delete piece;
  }
}

// Linux promises memory it does not have and kills the process when it is touched; so what cannot
// fit is refused here, with a sentence.
void* from_system(Cache& c, std::size_t bytes) {
  const std::size_t all = backend::memory_size();
  void* block = c.stats.in_use + c.stats.cached + bytes > all ? nullptr : backend::allocate(bytes);
  if (!block) {
    release_cached(c);
    block = c.stats.in_use + bytes > all ? nullptr : backend::allocate(bytes);
  }
  constexpr std::size_t mb = 1 << 20;
  check(block != nullptr, "memory", "out of memory: a tensor of ", bytes / mb, " MB was wanted while ",
        c.stats.in_use / mb, " MB are in use, of ", all / mb, " MB; a smaller batch or model would fit");
  ++c.stats.system_allocations;
  return block;
}

// Of a free piece, the part that is wanted; the rest stays free.
Piece* cut(Cache& c, Piece* piece, std::size_t bytes) {
  if (piece->bytes == bytes) return piece;
  Piece* const rest = new Piece{piece->at + bytes, piece->bytes - bytes, piece, piece->after};
  if (rest->after) rest->after->before = rest;
  piece->after = rest;
  piece->bytes = bytes;
  c.put(rest);
  return piece;
}

// One piece of two neighbours.
Piece* join(Piece* first, Piece* second) {
  first->bytes += second->bytes;
  first->after = second->after;
  if (first->after) first->after->before = first;
  delete second;
  return first;
}

Piece* acquire(Cache& c, std::size_t bytes) {
  // A small one that outlives its neighbours would keep them from being joined again.
  constexpr std::size_t large = 1 << 20;
  auto found = c.free_pieces.lower_bound(bytes);
  if (found != c.free_pieces.end() && (found->first == bytes || bytes >= large)) {
    found = std::prev(c.free_pieces.upper_bound(found->first));  // the last one in is the warmest
    Piece* const piece = found->second;
    c.take(found);
    return cut(c, piece, bytes);
  }
  return new Piece{static_cast<char*>(from_system(c, bytes)), bytes};
}

void release(Cache& c, Piece* piece) {
  if (piece->before && piece->before->free) {
    c.take(piece->before);
    piece = join(piece->before, piece);
  }
  if (piece->after && piece->after->free) {
    c.take(piece->after);
    piece = join(piece, piece->after);
  }
  c.put(piece);
}

}  // namespace

std::shared_ptr<real> allocate(Index count) {
  // A size beyond the machine is refused by from_system().
  const std::size_t per_line = line / sizeof(real);
  const std::size_t lines = (static_cast<std::size_t>(count) + per_line - 1) / per_line;
  const std::size_t bytes = std::max<std::size_t>(1, std::min(lines, SIZE_MAX / (2 * line))) * line;
  Cache& c = cache();
  Piece* piece = nullptr;
  {
    const std::lock_guard lock(c.mutex);
    piece = acquire(c, bytes);
    c.stats.in_use += bytes;
    c.stats.peak_in_use = std::max(c.stats.peak_in_use, c.stats.in_use);
  }
  return {reinterpret_cast<real*>(piece->at), [piece, bytes](real*) {
            Cache& c = cache();
            const std::lock_guard lock(c.mutex);
            c.stats.in_use -= bytes;
            release(c, piece);
          }};
}

Stats stats() {
  const std::lock_guard lock(cache().mutex);
  return cache().stats;
}

void reset_peak() {
  const std::lock_guard lock(cache().mutex);
  cache().stats.peak_in_use = cache().stats.in_use;
}

void release_cached() {
  const std::lock_guard lock(cache().mutex);
  release_cached(cache());
}

}  // namespace bobbin::memory
