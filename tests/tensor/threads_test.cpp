#include "tensor/threads.h"

#include "tensor/backend.h"

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

TEST_CASE("threads: the BLAS has a name, and is the OpenMP build") {
  CHECK(contains(backend::describe(), "OpenBLAS"));
  CHECK(contains(backend::describe(), "(OpenMP)"));
  CHECK(contains(backend::describe(), "core type"));
}
