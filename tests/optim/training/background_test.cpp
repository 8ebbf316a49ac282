#include "optim/training/background.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "tensor/check.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

TEST_CASE("background: work is done beside the program, one thing after the other") {
  std::promise<void> may_go_on;
  std::vector<int> done;
  Background work;
  work.begin([&, gate = may_go_on.get_future().share()] {
    CHECK(gate.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
    done.push_back(1);
  });
  work.begin([&done] { done.push_back(2); });
  work.look_after();  // waits for none
  may_go_on.set_value();
  work.wait();
  CHECK(done == std::vector<int>{1, 2});
}

TEST_CASE("background: what goes wrong is thrown once, and nothing after it is done") {
  Background work;
  std::promise<void> may_go_on;
  int later = 0;
  work.begin([gate = may_go_on.get_future().share()] {
    gate.wait();
    fail("disk", "is full");
  });
  work.begin([&] { ++later; });
  may_go_on.set_value();
  CHECK(fails([&] { work.wait(); }, {"is full"}));
  CHECK(later == 0);
  work.wait();
  work.begin([&] { ++later; });
  work.wait();
  CHECK(later == 1);

  work.begin([] { fail("disk", "is full again"); });
  std::string error;
  for (int i = 0; i < 2000 && error.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    error = error_of([&] { work.look_after(); });
  }
  CHECK(contains(error, "is full again"));
}

TEST_CASE("background: it waits where much is not done, and at its end, which is silent") {
  std::atomic<int> done = 0, most = 0, begun = 0;
  {
    Background work;
    for (int i = 0; i < 20; ++i) {
      work.begin([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        ++done;
      });
      most = std::max<int>(most, ++begun - done);
    }
  }
  CHECK(done == 20);
  CHECK(most <= 3);
  {
    Background work;
    work.begin([] { fail("disk", "is full"); });
    work.begin([&] { ++done; });
  }
  CHECK(done == 20);
}
