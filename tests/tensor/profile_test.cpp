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
  CHECK(!contains(table, "meanwhile"));
  profile::start();  // forgets
  profile::stop();
  CHECK(profile::rows().empty());
}

TEST_CASE("profile: what runs beside the others is marked, and no part of the time that they take together") {
  profile::start();
  {
    const profile::Timed sent("sent", 0, 0, true);
    for (int i = 0; i < 100; ++i) exp(Tensor::ones({1000}));
  }
  profile::stop();
  const std::string table = profile::table();
  CHECK(contains(table, "sent (meanwhile)"));
  const double between = std::stod(table.substr(table.find("between") + 33, 8));
  CHECK(between >= 0);
}
