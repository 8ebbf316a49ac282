#include "nccl.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "memory.h"
#include "runtime.h"

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t most_bytes = std::size_t{1} << 30;  // of a sum; pages that nobody writes to are not there

// What a rank tells the others, in its own page of the file: how many sums it has brought its numbers for, and how many
// it has taken.
struct Told {
  std::atomic<unsigned long> is_there, brought, taken;
};
static_assert(sizeof(Told) <= page && std::atomic<unsigned long>::is_always_lock_free);

}  // namespace

struct ncclComm {
  int ranks, rank;
  char* file;  // a page of each rank, then the numbers of each
  unsigned long sums = 0;

  Told& told(int rank) const { return *reinterpret_cast<Told*>(file + static_cast<std::size_t>(rank) * page); }
  char* numbers(int rank) const {
    return file + static_cast<std::size_t>(ranks) * page + static_cast<std::size_t>(rank) * most_bytes;
  }
  bool all(std::atomic<unsigned long> Told::*what, unsigned long at_least) const {
    for (int r = 0; r < ranks; ++r)
      if (told(r).*what < at_least) return false;
    return true;
  }
};

namespace {

float widened(std::uint16_t x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16); }
std::uint16_t rounded(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return static_cast<std::uint16_t>(std::isnan(x) ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <class T>
void add(T& sum, T x) {
  sum += x;
}
void add(std::uint16_t& sum, std::uint16_t x) { sum = rounded(widened(sum) + widened(x)); }

// A sum that is under way. All ranks add up in the same order: the same bits.
template <class T>
struct Sum {
  const ncclComm* comm;
  unsigned long number;
  const void* from;
  void* to;
  std::size_t count;
  bool brought = false;

  // Goes on as far as others let it; whether it is done.
  bool operator()() {
    const std::size_t bytes = count * sizeof(T);
    if (!brought && !comm->all(&Told::taken, number - 1)) return false;  // somebody still reads what was there
    if (!brought) {
      emulator::memory::Access access("ncclAllReduce");
      access.open(*emulator::memory::find(from, bytes), false);
      std::memcpy(comm->numbers(comm->rank), from, bytes);
      comm->told(comm->rank).brought = number;
      brought = true;
    }
    if (!comm->all(&Told::brought, number)) return false;
    emulator::memory::Access access("ncclAllReduce");
    access.open(*emulator::memory::find(to, bytes), true);
    T* const sum = static_cast<T*>(to);
    std::memcpy(sum, comm->numbers(0), bytes);
    for (int r = 1; r < comm->ranks; ++r) {
      const T* const theirs = reinterpret_cast<const T*>(comm->numbers(r));
      for (std::size_t i = 0; i < count; ++i) add(sum[i], theirs[i]);
    }
    comm->told(comm->rank).taken = number;
    return true;
  }
};

}  // namespace

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  const emulator::Call call("ncclGetUniqueId");
  if (call.must_fail()) return ncclSystemError;
  std::string name = (std::getenv("TMPDIR") ? std::getenv("TMPDIR") : "/tmp") + std::string("/nccl-XXXXXX");
  const int file = mkstemp(name.data());
  if (file < 0 || name.size() >= sizeof id->internal) return ncclSystemError;
  close(file);
  std::strcpy(id->internal, name.c_str());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank) {
  {
    const emulator::Call call("ncclCommInitRank");
    if (call.must_fail()) return ncclSystemError;
  }
  const std::size_t bytes = static_cast<std::size_t>(ranks) * (page + most_bytes);
  const int file = open(id.internal, O_RDWR | O_CLOEXEC);
  if (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) != 0) return ncclSystemError;
  void* const mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  close(file);
  if (mapped == MAP_FAILED) return ncclSystemError;
  *comm = new ncclComm{.ranks = ranks, .rank = rank, .file = static_cast<char*>(mapped)};
  (*comm)->told(rank).is_there = 1;
  while (!(*comm)->all(&Told::is_there, 1)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (rank == 0) unlink(id.internal);
  return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t,
                           ncclComm_t comm, cudaStream_t stream) {
  const emulator::Call call("ncclAllReduce");
  if (call.must_fail()) return ncclUnhandledCudaError;
  const std::size_t bytes = count * (type == ncclFloat64 ? 8 : type == ncclFloat32 ? 4 : 2);
  for (const void* side : {from, static_cast<const void*>(to)})
    if (!emulator::memory::find(side, bytes))
      emulator::die(std::to_string(bytes) + " bytes to be summed do not lie inside an allocation of the device",
                    call.name());
  if (bytes > most_bytes) emulator::die("a sum is too large for the emulator", call.name());
  const unsigned long number = ++comm->sums;
  if (type == ncclFloat32)
    emulator::do_with_others(stream, to, bytes, Sum<float>{comm, number, from, to, count}, call.name());
  else if (type == ncclFloat64)
    emulator::do_with_others(stream, to, bytes, Sum<double>{comm, number, from, to, count}, call.name());
  else
    emulator::do_with_others(stream, to, bytes, Sum<std::uint16_t>{comm, number, from, to, count}, call.name());
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* error) {
  const emulator::Call call("ncclCommGetAsyncError");
  *error = call.must_fail() ? ncclRemoteError : ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  munmap(comm->file, static_cast<std::size_t>(comm->ranks) * (page + most_bytes));
  delete comm;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error";
    case ncclSystemError:
      return "unhandled system error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
  }
  return "unknown result code";
}
