#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "optim/log/metrics.h"
#include "tests/apps/program.h"
#include "tests/html.h"

using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

// A folder of a run with so many finished epochs.
fs::path make_run(const fs::path& folder, int epochs) {
  std::vector<bobbin::EpochMetrics> metrics;
  for (int i = 1; i <= epochs; ++i)
    metrics.push_back({i, i, 1.0 / i, bobbin::loss_and_accuracy(2.0 / i, 1 - 0.5 / i), 0.1, 1, 1});
  fs::create_directories(folder);
  std::ofstream(folder / "metrics.csv") << bobbin::metrics_csv(metrics);
  return folder;
}

}  // namespace

TEST_CASE("plot: draws the run that this repository keeps") {
  const TempFolder folder;
  const std::string picture = folder / "picture.svg";
  const Result r = run(program("plot") + " apps/results/d2l-seed0.csv -o " + picture);
  CHECK(r.status == 0);
  CHECK(r.output == picture + "\n");
  CHECK(content(picture).starts_with("<svg "));
  CHECK(contains(content(picture), ">apps/results/d2l-seed0.csv<"));
}

TEST_CASE("plot: folders and files over one another, in curves.svg") {
  const TempFolder folder;
  make_run(folder / "lr0.1", 3);
  make_run(folder / "lr0.2", 5);
  const Result r =
      run("plot=$(realpath " + binary("plot") + "); cd " + folder.path().string() + "; $plot lr0.1 lr0.2/metrics.csv");
  INFO(r.output);
  CHECK(r.status == 0);
  const std::string picture = content(folder / "curves.svg");
  CHECK(contains(picture, ">lr0.1<"));
  CHECK(contains(picture, ">lr0.2/metrics.csv<"));
  // As runs/* has it, where there are sweeps, too.
  fs::create_directories(folder / "sweep/run");
  std::ofstream(folder / "sweep/results.csv") << "setting,measure\n";
  const Result all = run("plot=$(realpath " + binary("plot") + "); cd " + folder.path().string() + "; $plot * sweep/*");
  INFO(all.output);
  CHECK(all.status == 0);
  for (const char* other : {"curves.svg", "sweep", "sweep/results.csv", "sweep/run"})
    CHECK(contains(all.output, std::string("left out, for it is no run: ") + other + "\n"));
}

TEST_CASE("plot: a page of one run, and of two") {
  const TempFolder folder;
  const std::string a = make_run(folder / "<a>", 3), b = make_run(folder / "b", 5), in = folder.path().string() + "/";
  const Result one = run("plot=$(realpath " + binary("plot") + "); cd " + in + "; $plot --html '<a>'");
  CHECK(one.output == "curves.html\n");
  CHECK(contains(text_of_page(content(folder / "curves.html")), "Best epoch: 3, val_loss 0.6667, val_acc 0.8333."));
  const Result two = run(program("plot") + " '" + a + "' " + b + "/metrics.csv -o " + in + "x.html");
  CHECK(two.status == 0);
  const std::string text = text_of_page(content(folder / "x.html"));
  CHECK(contains(text, "2 runs side by side"));
  CHECK(contains(text, "/&lt;a&gt;"));
}

TEST_CASE("plot: what it cannot draw is one sentence") {
  const TempFolder folder;
  const std::string in = folder.path().string() + "/", good = make_run(folder / "good", 3);
  make_run(folder / "young", 0);
  fs::create_directory(folder / "empty");
  std::ofstream(folder / "text.csv") << "Dear diary,\ntoday I trained a model.\n";
  std::ofstream(folder / "cut.csv") << content(folder / "good" / "metrics.csv").substr(0, 160);
  const auto refuses = [&](const std::string& flags, int status, const std::string& part) {
    check_refuses("plot", "-o " + in + "x.svg " + flags, status, part);
  };
  refuses("", 2, "RUN is required");
  refuses(good + " --outpt x.svg", 2, "did you mean --output?");
  check_refuses("plot", good + " -o " + good + "/metrics.csv", 2, "must end in .svg");
  check_refuses("plot", good + " --html -o " + in + "x.svg", 1, "-o must end in .html");
  refuses(good + " " + in + "missing", 1, "there is no run " + in + "missing");
  refuses(in + "empty", 1, in + "empty holds no metrics.csv");
  refuses(in + "empty " + in + "empty", 1, "there is no run among the 2 files and folders");
  refuses(in + "young", 1, "no epoch is finished in " + in + "young/metrics.csv");
  refuses(in + "text.csv", 1, "begins with \"Dear diary,\", expected");
  refuses(in + "cut.csv", 1, "line 4 of");
  check_refuses("plot", good + " -o " + in + "no/x.svg", 1, "No such file or directory");
  CHECK(!fs::exists(folder / "x.svg"));
}
