#include "tensor/profile.h"

#include <doctest/doctest.h>

#include <thread>

#include "tensor/functions.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

TEST_CASE("profile: counts calls, operations and bytes of each function, and only while it is on") {
  const Tensor a = Tensor::ones({3, 5}), b = Tensor::ones({5, 7});
  matmul(a, b);
  profile::start();
  CHECK(profile::rows().empty());
  matmul(a, b);
  matmul(a, b);
  exp(a);
  std::thread([&] { exp(a); }).join();
  profile::stop();
  exp(a);

  const std::vector<profile::Row> rows = profile::rows();
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].seconds >= rows[1].seconds);
  const profile::Row &product = rows[rows[0].name == "matmul" ? 0 : 1],
                     &exponential = rows[rows[0].name == "exp" ? 0 : 1];
  CHECK(product.name == "matmul");
  CHECK(product.calls == 2);
  CHECK(product.flops == 2 * (2 * 3 * 5 * 7));
  CHECK(product.bytes == 2 * (15 + 35 + 21) * sizeof(real));
  CHECK(exponential.name == "exp");
  CHECK(exponential.calls == 2);
  CHECK(exponential.flops == 0);
  CHECK(exponential.bytes == 2 * (15 + 15) * sizeof(real));

  const std::string table = profile::table();
  for (const char* part : {"calls", "GFLOP/s", "matmul", "exp", "between"}) CHECK(contains(table, part));
  profile::start();  // forgets
  profile::stop();
  CHECK(profile::rows().empty());
}
