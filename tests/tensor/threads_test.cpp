#include "tensor/threads.h"

#include <algorithm>
#include <atomic>

#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/cpu/container.h"
#include "tensor/parallel.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

TEST_CASE("threads: as many as were set, and no absurd number") {
  with_threads([] {
    const int before = threads();
    set_threads(2);
    CHECK(threads() == 2);
    CHECK(fails([] { set_threads(0); }, {"set_threads", "got 0"}));
    CHECK(fails([] { set_threads(100000); }, {"set_threads", "100000"}));
    CHECK(threads() == 2);
    set_threads(before);
  });
}

TEST_CASE("threads: an error in one of them is the caller's") {
  with_threads([] {
    std::atomic<int> done = 0;
    const auto body = [&](Index begin, Index end) {
      check(end < 100, "body", "piece that ends at ", end);
      done += static_cast<int>(end - begin);
    };
    CHECK(fails([&] { parallel_for(100, 1, body); }, {"[body]", "ends at 100"}));
    done = 0;
    parallel_for(99, 1, body);
    CHECK(done == 99);
  });
}

TEST_CASE("threads: by default as many as the container lets run, unless OMP_NUM_THREADS says") {
  const char* const variable = std::getenv("OMP_NUM_THREADS");
  const std::string before = variable ? variable : "";
  with_threads([] {
    unsetenv("OMP_NUM_THREADS");
    CHECK(default_threads() == std::min(threads(), cpu::container_cpus()));
    setenv("OMP_NUM_THREADS", "7", 1);
    CHECK(default_threads() == threads());
  });
  variable ? setenv("OMP_NUM_THREADS", before.c_str(), 1) : unsetenv("OMP_NUM_THREADS");
}

TEST_CASE("threads: the BLAS has a name, and is the OpenMP build") {
  CHECK(contains(backend::describe(), "OpenBLAS"));
  CHECK(contains(backend::describe(), "(OpenMP)"));
  CHECK(contains(backend::describe(), "core type"));
}
