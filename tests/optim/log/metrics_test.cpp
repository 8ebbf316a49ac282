#include "optim/log/metrics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

const std::string header = "epoch,step,train_loss,val_loss,val_acc,lr,img_per_s,seconds\n";

std::filesystem::path write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

// The error of reading the header and these lines.
std::string error_of_lines(const std::string& lines) {
  const TempFolder folder;
  return error_of([&] { read_metrics(write(folder / "m.csv", header + lines)); });
}

}  // namespace

TEST_CASE("metrics: what was written is read again") {
  const TempFolder folder;
  const std::vector<EpochMetrics> epochs{{1, 469, 1.867294, loss_and_accuracy(0.836009, 0.6786), 0.1, 176.97, 357.41},
                                         {2, 938, 0.668701, loss_and_accuracy(INFINITY, 0.7759), 1e-7, 149.19, 423.87},
                                         {1000000, 9876543210, 0, loss_and_accuracy(123456, 1), 0, 0, 0}};
  CHECK(read_metrics(write(folder / "m.csv", metrics_csv(epochs))) == epochs);
  std::string windows = "\xef\xbb\xbf";  // as editors there leave it
  for (const char c : metrics_csv(epochs)) windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
  CHECK(read_metrics(write(folder / "windows.csv", windows)) == epochs);
  CHECK(read_metrics(write(folder / "none.csv", metrics_csv({}, {"val_loss", "val_acc"}))).empty());
  const double big = std::numeric_limits<double>::max();
  CHECK(read_metrics(
            write(folder / "big.csv", metrics_csv({{1, 1, -big, loss_and_accuracy(-big, -big), 1, -big, -big}})))[0]
            .seconds == -big);
  CHECK(std::isnan(
      read_metrics(write(folder / "nan.csv", metrics_csv({{1, 1, NAN, loss_and_accuracy(0, 0), 0, 0, 0}})))[0]
          .train_loss));
}

TEST_CASE("metrics: d2l's run that this repository keeps") {
  const std::vector<EpochMetrics> epochs = read_metrics("apps/results/d2l-seed0.csv");
  REQUIRE(epochs.size() == 10);
  CHECK(epochs[9] == EpochMetrics{10, 4690, 0.379708, loss_and_accuracy(0.377592, 0.8651), 0.1, 186.89, 338.62});
}

TEST_CASE("metrics: a broken line is named with its number") {
  const std::string line = "1,469,1.86,0.83,0.67,0.1,176.97,357.41\n";
  const struct {
    std::string lines;
    std::vector<std::string> says;
  } mistakes[] = {{line + "2,938,x,0,0,0,0,0\n", {"line 3", "m.csv", "\"x\" for train_loss"}},
                  {"1,469,1.86,0.83,0.67\n", {"line 2", "\"\" for lr"}},
                  {"1,469,1.86,0.83,0.67,0.1,176.97,357.41,9\n", {"line 2", "more than the 8 columns"}},
                  {"1,469,1.86,0.83,0.67,0.1,176.97,357.41,\n", {"line 2", "more than the 8 columns"}},
                  {"1,469,1.86,0.83,0.67,0.1,176.97,357.41 \n", {"line 2", "\"357.41 \" for seconds"}},
                  {"1.5,469,1.86,0.83,0.67,0.1,176.97,357.41\n", {"line 2", "\"1.5\" for epoch"}},
                  {"99999999999,469,1.86,0.83,0.67,0.1,176.97,357.41\n", {"line 2", "for epoch"}},
                  {"0,469,1.86,0.83,0.67,0.1,176.97,357.41\n", {"line 2", "epoch 0"}},
                  {"1,0,1.86,0.83,0.67,0.1,176.97,357.41\n", {"line 2", "step 0"}},
                  {line + line, {"line 3", "epoch 1 and step 469 after epoch 1"}},
                  {line + "\n", {"line 3", "\"\" for epoch"}},
                  {line + "2,938", {"line 3", "no end"}}};
  for (const auto& mistake : mistakes) {
    const std::string error = error_of_lines(mistake.lines);
    CAPTURE(error);
    for (const std::string& part : mistake.says) CHECK_MESSAGE(contains(error, part), part);
  }
}

TEST_CASE("metrics: cut at any byte, a file is whole lines or an error") {
  const TempFolder folder;
  const std::string text = metrics_csv({{1, 469, 1.867294, loss_and_accuracy(0.836009, 0.6786), 0.1, 176.97, 357.41},
                                        {2, 938, 1, loss_and_accuracy(1, 1), 1, 1, 1}});
  for (std::size_t length = 0; length < text.size(); ++length) {
    CAPTURE(length);
    const auto path = write(folder / "cut.csv", text.substr(0, length));
    if (length >= header.size() && text[length - 1] == '\n')
      CHECK(read_metrics(path).size() == (length == header.size() ? 0 : 1));
    else
      CHECK(contains(error_of([&] { read_metrics(path); }), "cut.csv"));
  }
}

TEST_CASE("metrics: files that are none") {
  const TempFolder folder;
  CHECK(fails([&] { read_metrics(folder / "missing.csv"); }, {"missing.csv", "No such file"}));
  CHECK(fails([&] { read_metrics(folder.path()); }, {folder.path().string(), "is a folder"}));
  CHECK(fails([&] { read_metrics(write(folder / "empty.csv", "")); }, {"empty.csv", "is empty"}));
  CHECK(fails([&] { read_metrics("/dev/zero"); }, {"/dev/zero", "expected a file"}));
  CHECK(fails([&] { read_metrics(write(folder / "losses.csv", "step,loss\n1,2.3\n")); }, {"step,loss", "epoch,step"}));
}

TEST_CASE("metrics: a mean over an epoch is drawn in its middle, what is measured after it at its end") {
  const Curves run = curves("x", {{1, 10, 2.5, loss_and_accuracy(2.25, 0.5), 0.1, 1, 1},
                                  {2, 20, 1.5, loss_and_accuracy(1.75, 0.75), 0.1, 1, 1}});
  CHECK(run.name == "x");
  CHECK(run.train_loss == Points{{0.5, 2.5}, {1.5, 1.5}});
  CHECK(run.val_loss == Points{{1, 2.25}, {2, 1.75}});
  CHECK(run.val_acc == Points{{1, 0.5}, {2, 0.75}});
}
