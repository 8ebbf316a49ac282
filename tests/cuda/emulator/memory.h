#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// The memory of the emulated device: a range of addresses of its own, in which each allocation has pages of its own
/// and ends where a page ends, with another page behind it that nobody may touch.
///
/// It is locked: the program cannot read or write it, as it could not on a GPU. A kernel, a copy or a product opens
/// what it was given, and nothing else, for as long as it runs. Whoever touches what is not open dies with a sentence.
namespace emulator::memory {

/// How many bytes the device has.
constexpr std::size_t total = std::size_t{4} << 30;
/// How many can still be allocated, beside what CUDA_EMULATOR_TAKEN says that other programs have.
std::size_t free();

struct Allocation {
  char* begin;
  std::size_t bytes;
};

/// Full of NaN; null if there is not so much. An address is given out only once.
void* allocate(std::size_t bytes);
/// Whether this was an allocation.
bool release(void* begin);

/// Whether the device has this address, allocated or not.
bool on_device(const void* address);
/// The allocation in which the `bytes` from here on lie; null if there is none. One past the end is in it, too.
const Allocation* find(const void* address, std::size_t bytes = 0);

/// What is open, and closed again at the end. One at a time.
class Access {
 public:
  /// `user` says who, for error messages: "kernel scale(float*)".
  explicit Access(std::string user);
  ~Access();
  Access(const Access&) = delete;

  /// Opens the allocation, for reading, or for reading and writing.
  void open(const Allocation& allocation, bool writable);

  /// Finds words that two parts of a launch change, which on a GPU run at the same time. Begins with the first part.
  void watch();
  /// A part is done: dies if it changed a word that another one has changed.
  void next_part();

  const std::string& user() const { return user_; }
  std::size_t writable_bytes() const;

 private:
  struct Opened {
    const Allocation* allocation;
    bool writable;
  };
  std::string user_;
  std::vector<Opened> opened_;
  std::uint32_t first_part_ = 0;

  friend std::string explain(const void* address);
};

}  // namespace emulator::memory
