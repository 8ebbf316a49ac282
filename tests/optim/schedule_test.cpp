#include "optim/schedule.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

constexpr double tolerance = sizeof(real) == 8 ? 1e-14 : 1e-7;

// Whether the learning rates are those of the golden file.
void check_schedule(const std::string& name, const ScheduleOptions& options) {
  CAPTURE(name);
  const Golden golden("schedules");
  const Schedule schedule(options, 5, 20);
  const std::vector<double> lrs = golden.doubles(name);
  REQUIRE(lrs.size() >= 20);
  for (std::size_t t = 0; t < lrs.size(); ++t) {
    CAPTURE(t);
    const StepSize size = schedule(static_cast<Index>(t));
    CHECK(std::abs(double{size.lr} / lrs[t] - 1) <= tolerance);
    CHECK(size.momentum.has_value() == (name == "onecycle"));
    if (size.momentum)
      CHECK(std::abs(double{*size.momentum} / golden.doubles("onecycle/momentum")[t] - 1) <= tolerance);
  }
}

}  // namespace

TEST_CASE("golden: the cosine of timm, with and without warm-up, and torch's OneCycleLR") {
  ScheduleOptions cosine{.sched = "cosine", .lr = 0.3, .warmup_lr = 1e-4, .min_lr = 0.01};
  check_schedule("cosine", cosine);
  cosine.warmup_epochs = 1;
  check_schedule("cosine_warmup", cosine);
  cosine.warmup_prefix = true;
  check_schedule("cosine_prefix", cosine);
  check_schedule("onecycle", {.sched = "onecycle", .lr = 0.06});
}

TEST_CASE("schedule: constant, after a warm-up of parts of an epoch") {
  const Schedule plain({.lr = 0.5}, 5, 20);
  CHECK(plain(0).lr == real(0.5));
  CHECK(plain(1000).lr == real(0.5));
  const Schedule warm({.lr = 0.5, .warmup_epochs = 0.8, .warmup_lr = 0.1}, 5, 20);
  for (const auto& [step, lr] : {std::pair(0, 0.1), {1, 0.2}, {2, 0.3}, {3, 0.4}, {4, 0.5}, {19, 0.5}})
    CHECK(double{warm(step).lr} == doctest::Approx(lr).epsilon(1e-6));
}

TEST_CASE("schedule: a single step, and steps after the last") {
  for (const char* sched : {"constant", "cosine", "onecycle"}) {
    const Schedule schedule({.sched = sched, .lr = 0.5}, 1, 1);
    for (const Index step : {0, 1, 2, 100}) {
      CHECK(std::isfinite(schedule(step).lr));
      CHECK(schedule(step).lr >= 0);
    }
  }
  const Schedule cosine({.sched = "cosine", .lr = 0.5, .min_lr = 0.125}, 5, 10);
  CHECK(cosine(10).lr == real(0.125));
  CHECK(cosine(11).lr == real(0.125));
}

TEST_CASE("schedule: what cannot be") {
  const auto refused = [](const ScheduleOptions& options, const std::string& says) {
    return fails([&] { Schedule(options, 5, 20); }, {says});
  };
  CHECK(refused({.sched = "step"}, "sched must be constant, cosine or onecycle, got \"step\""));
  CHECK(refused({.lr = -1}, "lr must be 0 or more, got -1"));
  CHECK(refused({.lr = NAN}, "lr must be 0 or more"));
  CHECK(refused({.warmup_epochs = -1}, "warmup_epochs must be 0 or more"));
  CHECK(refused({.min_lr = INFINITY}, "min_lr must be 0 or more"));
  CHECK(refused({.sched = "onecycle", .warmup_epochs = 1}, "onecycle has a warm-up of its own"));
  CHECK(refused({.sched = "cosine", .warmup_epochs = 4, .warmup_prefix = true}, "20 steps leaves none of 20"));
}
