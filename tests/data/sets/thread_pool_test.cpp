#include "data/sets/thread_pool.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tensor/check.h"

using namespace bobbin;

TEST_CASE("a thread pool calls each part once, on threads that stay") {
  for (const int size : {1, 2, 7}) {
    CAPTURE(size);
    ThreadPool pool(size);
    CHECK(pool.size() == size);
    std::vector<int> calls(static_cast<std::size_t>(size));
    std::vector<std::thread::id> first(calls.size()), now(calls.size());
    for (int round = 1; round <= 200; ++round) {
      pool.run([&](int i) {
        ++calls[static_cast<std::size_t>(i)];
        now[static_cast<std::size_t>(i)] = std::this_thread::get_id();
      });
      if (round == 1) first = now;
      REQUIRE(std::accumulate(calls.begin(), calls.end(), 0) == size * round);  // all have returned
    }
    CHECK(calls == std::vector<int>(calls.size(), 200));
    CHECK(now == first);
    CHECK(now[0] == std::this_thread::get_id());
    CHECK(std::set<std::thread::id>(now.begin(), now.end()).size() == now.size());
  }
}

TEST_CASE("a thread pool that has nothing to do ends, and one of no threads is refused") {
  for (const int size : {1, 2, 7}) ThreadPool(size).size();
  CHECK_THROWS_WITH_AS(ThreadPool(0), "[ThreadPool] it must have 1 thread or more, got 0", Error);
  CHECK_THROWS_AS(ThreadPool(-3), Error);
}

TEST_CASE("what a part throws comes out of run() when all have returned, the first one's of several, and once") {
  ThreadPool pool(4);
  std::vector<int> ended(4);
  const auto fail = [&](int i) {
    if (i >= 2) throw std::runtime_error("part " + std::to_string(i));
    ended[static_cast<std::size_t>(i)] = 1;
  };
  CHECK_THROWS_WITH_AS(pool.run(fail), "part 2", std::runtime_error);
  CHECK(ended == std::vector<int>{1, 1, 0, 0});
  pool.run([&](int i) { ended[static_cast<std::size_t>(i)] = 2; });
  CHECK(ended == std::vector<int>(4, 2));
}
