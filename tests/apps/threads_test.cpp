// Threads that the environment holds back, and threads that wait.
#include "tensor/threads.h"

#include "tests/apps/program.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// One training step of bench, of d2l's model on two images, with these settings.
Result step(const std::string& settings) {
  return run("echo train | env -u OMP_WAIT_POLICY " + settings + " timeout -s KILL 60 " + binary("bench") +
             " -b 2 --threads 2 --lockstep");
}

}  // namespace

TEST_CASE("threads: where OpenMP gives fewer than were promised, the work is done, and it is said") {
  for (const char* held_back : {"OMP_THREAD_LIMIT=1", "OMP_MAX_ACTIVE_LEVELS=0"}) {
    const Result r = step(held_back);
    INFO(held_back, ": ", r.output);
    CHECK(r.status == 0);
    CHECK(contains(r.output, "OpenMP has 1 thread at work of the 2 wanted"));
  }
  const Result dynamic = step("OMP_DYNAMIC=true");  // how many there are depends on the machine's load
  CHECK(dynamic.status == 0);
}

TEST_CASE("threads: those that wait do so briefly, unless the environment says otherwise") {
  const Result brief = step("OMP_DISPLAY_ENV=verbose"), own = step("OMP_DISPLAY_ENV=verbose GOMP_SPINCOUNT=77"),
               passive = step("OMP_DISPLAY_ENV=verbose OMP_WAIT_POLICY=passive");
  // libgomp's words; libomp shows them otherwise.
  if (!contains(brief.output, "GOMP_SPINCOUNT")) return;
  CHECK(contains(brief.output, "GOMP_SPINCOUNT = '2000'"));
  CHECK(contains(own.output, "GOMP_SPINCOUNT = '77'"));
  CHECK(!contains(own.output, "GOMP_SPINCOUNT = '2000'"));
  CHECK(contains(passive.output, "GOMP_SPINCOUNT = '0'"));
}

TEST_CASE("bench: measures to its end, beside busy programs, too") {
  const Result r = run("timeout -s KILL 100 " + binary("bench") + " -b 1 --rounds 1");
  INFO(r.output);
  CHECK(r.status == 0);
  CHECK(contains(r.output, "peak_rss_mb "));  // of a process of its own
  CHECK(contains(r.output, "small_model_beside_busy_img_per_s "));
}
