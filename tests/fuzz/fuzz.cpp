// libFuzzer's way in: FUZZ_TARGET=idx build/fuzz/fuzz FOLDER_OR_FILE... gives the reader idx one made-up file after
// the other, and ends the program at the first crash, leak, or allocation that is too large for the file.
#define DOCTEST_CONFIG_DISABLE  // the tests' helpers are used, but there are no tests
#include <sanitizer/allocator_interface.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tensor/storage.h"
#include "tests/fuzz/targets.h"

namespace {

using bobbin::test::FuzzTarget;

std::atomic<std::int64_t> in_use = 0, most = INT64_MAX;  // bytes allocated now, and how many may be

std::int64_t size_of(const volatile void* block) {
  return static_cast<std::int64_t>(__sanitizer_get_allocated_size(block));
}

void allocated(const volatile void* block, std::size_t) {
  const std::int64_t size = size_of(block);
  if (in_use.fetch_add(size) + size <= most) return;
  most = INT64_MAX;  // what follows may allocate, too
  std::fprintf(stderr, "too much memory for such a file: another %lld bytes\n", static_cast<long long>(size));
  std::abort();
}

void freed(const volatile void* block) { in_use -= size_of(block); }

const FuzzTarget& chosen() {
  const char* name = std::getenv("FUZZ_TARGET");
  for (const FuzzTarget& target : bobbin::test::fuzz_targets())
    if (name && target.name == name) return target;
  std::fprintf(stderr, "FUZZ_TARGET must be the name of a folder in tests/fuzz/corpus\n");
  std::exit(1);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  return __sanitizer_install_malloc_and_free_hooks(allocated, freed) ? 0 : 1;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const FuzzTarget& target = chosen();
  static const bobbin::test::TempFolder folder;
  const bobbin::test::Bytes bytes(data, data + size);
  most = in_use + static_cast<std::int64_t>(target.memory_per_byte * size + bobbin::test::fuzz_memory);
  target.read(folder, bytes);
  most = INT64_MAX;
  bobbin::memory::release_cached();  // so that a tensor that is used too late is noticed
  return 0;
}
