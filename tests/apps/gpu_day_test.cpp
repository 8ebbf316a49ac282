// The scripts of tests/cuda/gpu_day, as far as they can be tried without a GPU.
#include <filesystem>
#include <fstream>

#include "tests/apps/program.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// A row of Nsight Compute's CSV.
std::string row(int launch, const std::string& kernel, const std::string& metric, const std::string& unit,
                const std::string& value) {
  return "\"" + std::to_string(launch) + "\",\"" + kernel + "\",\"" + metric + "\",\"" + unit + "\",\"" + value +
         "\"\n";
}

}  // namespace

TEST_CASE("gpu_day: the kernels of a step, of what Nsight Compute says of some steps") {
  if (run("python3 -c 0").status != 0) return;
  const TempFolder f;
  std::string csv = "==PROF== Connected\n\"ID\",\"Kernel Name\",\"Metric Name\",\"Metric Unit\",\"Metric Value\"\n";
  // A step is loss, backward pass, update, and the next forward pass; the first and the last are not whole.
  const std::string loss = "bobbin::cross_entropy_kernel(const float *)", sum = "void bobbin::sum_kernel<4>(int)";
  int launch = 0;
  for (const std::string& kernel : {sum, loss, sum, sum, loss, sum, sum, sum, loss, sum}) {
    csv += row(launch, kernel, "gpu__time_duration.sum", "ns", kernel == loss ? "1,000" : "3,000");
    csv += row(launch, kernel, "dram__bytes.sum", "Mbyte", "1.5");
    csv += row(launch, kernel, "launch__registers_per_thread", "register/thread", "32");
    csv += row(launch++, kernel, "sm__inst_executed.avg.per_cycle_active", "inst/cycle", "n/a");
  }
  std::ofstream(f / "ncu.csv") << csv;
  const Result r = run("python3 tests/cuda/gpu_day/kernels.py " + (f / "ncu.csv").string());
  INFO(r.output);
  CHECK(r.status == 0);
  CHECK(contains(r.output,
                 "sum_kernel<4>                                      3      9.0  90.0%      4.5       0  0.50  0.00    "
                 "  0   32\n"));
  CHECK(contains(r.output, "cross_entropy_kernel                               1      1.0  10.0%"));
  CHECK(contains(r.output, "all                                                4     10.0\n"));

  std::ofstream(f / "none.csv") << "==ERROR== no permission\n";
  const Result none = run("python3 tests/cuda/gpu_day/kernels.py " + (f / "none.csv").string());
  CHECK(none.status == 1);
  CHECK(contains(none.output, "none.csv has no kernel"));
}

TEST_CASE("gpu_day: a stage that there is not is said, and the day goes on to its end") {
  if (run("bash -c :").status != 0) return;
  const TempFolder f;
  const Result r = run("OUT=" + (f / "out").string() + " bash tests/cuda/gpu_day/gpu_day.sh lunch");
  INFO(r.output);
  CHECK(r.status == 1);
  CHECK(contains(r.output, "WRONG: there is no stage lunch"));
  CHECK(contains(r.output, "## end"));
  CHECK(run("grep -q 'no stage lunch' " + (f / "out/summary.md").string()).status == 0);
}

TEST_CASE(
    "make test CUDA=1: where there is a card a test that sees none has failed, and four tools of the sanitizer can") {
  if (run("make -v").status != 0) return;
  const TempFolder f;
  const auto command = [&](const std::string& name) {
    std::ofstream(f / name) << "#!/bin/sh\necho GPU 0: H100\n";
    std::filesystem::permissions(f / name, std::filesystem::perms::owner_all);
  };
  std::filesystem::create_directory(f / "bin");
  for (const char* name : {"nvidia-smi", "bin/nvcc", "bin/compute-sanitizer"}) command(name);
  const Result r = run("PATH=" + f.path().string() + ":$PATH make -n test T= B=build CUDA=1 AUTO_DEPS=0 NVCC=" +
                       (f / "bin/nvcc").string() + " | grep tests/run.sh");
  INFO(r.output);
  CHECK(contains(r.output, "\"GPU=required build/cuda/test_gpu\""));
  for (const char* tool : {"memcheck", "racecheck", "synccheck", "initcheck"})
    CHECK(contains(r.output, std::string("compute-sanitizer --tool ") + tool + " --error-exitcode 99 "));
}
