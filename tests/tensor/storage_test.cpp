#include "tensor/storage.h"

#include <doctest/doctest.h>
#include <omp.h>

#include <cstdint>
#include <string>

#include "tensor/check.h"
#include "tensor/functions.h"

using namespace bobbin;

TEST_CASE("a block that was returned is handed out again, at exactly its size") {
  memory::release_cached();
  const real* first = nullptr;
  {
    const auto block = memory::allocate(1000);
    first = block.get();
    CHECK(reinterpret_cast<std::uintptr_t>(first) % 64 == 0);
  }
  const auto before = memory::stats();
  const auto other = memory::allocate(2000), smaller = memory::allocate(500);
  CHECK(memory::stats().system_allocations == before.system_allocations + 2);
  const auto again = memory::allocate(1000);
  CHECK(again.get() == first);
  CHECK(memory::stats().system_allocations == before.system_allocations + 2);
  const auto second = memory::allocate(1000);  // the only one of this size is in use
  CHECK(second.get() != first);
  CHECK(memory::stats().system_allocations == before.system_allocations + 3);
}

TEST_CASE("the statistics count bytes in use, their peak, and what waits") {
  memory::release_cached();
  memory::reset_peak();
  const auto start = memory::stats();
  CHECK(start.cached == 0);
  CHECK(start.peak_in_use == start.in_use);
  constexpr std::size_t bytes = 1024 * sizeof(real);
  {
    const auto a = memory::allocate(1024);
    CHECK(memory::stats().in_use == start.in_use + bytes);
    {
      const auto b = memory::allocate(1024);
      CHECK(memory::stats().in_use == start.in_use + 2 * bytes);
    }
    CHECK(memory::stats().in_use == start.in_use + bytes);
    CHECK(memory::stats().cached == bytes);
    CHECK(memory::stats().peak_in_use == start.in_use + 2 * bytes);
    memory::reset_peak();
    CHECK(memory::stats().peak_in_use == start.in_use + bytes);
  }
  CHECK(memory::stats().in_use == start.in_use);
  CHECK(memory::stats().cached == 2 * bytes);
  memory::release_cached();
  CHECK(memory::stats().cached == 0);
  CHECK(memory::stats().in_use == start.in_use);
}

TEST_CASE("every count of elements fits, the last one is writable") {
  for (const Index count : {1, 3, 15, 16, 17, 37, 65, 129}) {
    const auto block = memory::allocate(count);
    CHECK(reinterpret_cast<std::uintptr_t>(block.get()) % 64 == 0);
    for (Index i = 0; i < count; ++i) block.get()[i] = static_cast<real>(i);
    CHECK(block.get()[count - 1] == static_cast<real>(count - 1));
  }
}

TEST_CASE("a loop that repeats its shapes asks nothing more from the system") {
  const auto step = [](const Tensor& W) {
    const Tensor x = Tensor::ones({17, 37});
    const Tensor y = gelu(matmul(x, W) + Tensor::ones({65}));
    return sum(softmax(y) * y, 0);
  };
  const Tensor W = Tensor::full({37, 65}, real{0.01});
  step(W);
  const auto before = memory::stats();
  for (int i = 0; i < 20; ++i) step(W);
  const auto after = memory::stats();
  CHECK(after.system_allocations == before.system_allocations);
  CHECK(after.in_use == before.in_use);
  CHECK(after.cached == before.cached);
}

TEST_CASE("memory that the machine does not have is refused with a sentence, and nothing is lost") {
  const Tensor alive = Tensor::ones({100});
  const auto before = memory::stats();
  for (const Index count : {Index{1} << 44, Index{1} << 61, INT64_MAX}) {
    std::string text;
    try {
      const Tensor x({count});
    } catch (const Error& error) {
      text = error.what();
    }
    CHECK(text.find("[memory] out of memory") == 0);
    CHECK(text.find(" MB") != std::string::npos);
  }
  CHECK(memory::stats().in_use == before.in_use);
  CHECK(memory::stats().system_allocations == before.system_allocations);
  CHECK(sum(alive).item() == 100);
}

TEST_CASE("several threads may take and return blocks at once") {
  const auto before = memory::stats();
  int wrong = 0;
#pragma omp parallel for num_threads(4) reduction(+ : wrong)
  for (int i = 0; i < 400; ++i) {
    const Tensor x = Tensor::full({37 + i % 3}, static_cast<real>(i));
    const Tensor y = x.clone();
    for (const real value : y.values()) wrong += value != static_cast<real>(i);
  }
  CHECK(wrong == 0);
  CHECK(memory::stats().in_use == before.in_use);
}

TEST_CASE("a large block is handed out in parts, which are joined again; a small request cuts none") {
  memory::release_cached();
  const auto from_system = [before = memory::stats().system_allocations] {
    return memory::stats().system_allocations - before;
  };
  constexpr Index mb = (1 << 20) / sizeof(real);
  const auto number = [](const auto& block) { return reinterpret_cast<std::uintptr_t>(block.get()); };
  auto whole = memory::allocate(8 * mb);
  const std::uintptr_t begin = number(whole);
  whole.reset();
  CHECK(from_system() == 1);
  {
    auto a = memory::allocate(3 * mb), b = memory::allocate(2 * mb), c = memory::allocate(3 * mb);
    CHECK(from_system() == 1);
    CHECK(number(a) == begin);
    CHECK(number(b) == begin + (3 << 20));
    CHECK(number(c) == begin + (5 << 20));
    b.reset();
    const std::size_t cached = memory::stats().cached;
    memory::release_cached();  // the neighbours of what is free are not
    CHECK(memory::stats().cached == cached);
    const auto too_large = memory::allocate(3 * mb);
    CHECK(from_system() == 2);
    a.reset();  // with b before it: 5 MB
    const auto d = memory::allocate(5 * mb);
    CHECK(from_system() == 2);
    CHECK(number(d) == begin);
  }
  CHECK(number(memory::allocate(8 * mb)) == begin);  // in whatever order the parts came back
  CHECK(from_system() == 2);
  const auto small = memory::allocate(16);
  CHECK(from_system() == 3);
  CHECK(memory::stats().cached == std::size_t{11} << 20);
  memory::release_cached();
  CHECK(memory::stats().cached == 0);
}
