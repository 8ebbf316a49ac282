#include "tensor/threads.h"

#include <algorithm>

#include "tensor/backend.h"
#include "tensor/cpu/container.h"
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
