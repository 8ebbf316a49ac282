#include "optim/log/report.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "optim/training/run_folder.h"
#include "tests/html.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

Report some_run(const std::string& name) {
  return {.name = name,
          .epochs = {{1, 2, 2.5, loss_and_accuracy(2, 0.25), 0.1, 10, 30},
                     {2, 4, 1.5, loss_and_accuracy(nan, 0.75), 0.1, 10, 40}},
          .losses = {3, 2, 2, 1},
          .config = R"({"program": "train", "cpu": "<fast>", "flags": {"lr": 0.1, "data_dir": "a&b"}})",
          .written = 86400};
}

// The JSON that the script of a page is given.
nlohmann::json data_of(const std::string& page) {
  const std::string tag = "id=\"data\">";
  const std::size_t begin = page.find(tag) + tag.size();
  return nlohmann::json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

}  // namespace

TEST_CASE("report: says what ran, what came of it, and that it has ended") {
  const std::string page = report_html(some_run("runs/<mine>"));
  const std::string text = text_of_page(page);
  for (const char* part : {"runs/&lt;mine&gt;", "Ended after 2 epochs and 4 steps, which took 70 seconds.",
                           "Best epoch: 2, val_loss nan, val_acc 0.7500.", "&lt;fast&gt;", "a&amp;b", "1970-01-02"}) {
    INFO(part);
    CHECK(contains(text, part));
  }
  CHECK(!contains(page, "http-equiv=\"refresh\""));
  const nlohmann::json data = data_of(page), &run = data["runs"][0];
  CHECK(data["training"] == false);
  CHECK(run["name"] == "runs/<mine>");
  CHECK(run["values"]["val_loss"] == nlohmann::json{2.0, nullptr});
  CHECK(run["values"]["val_acc"] == nlohmann::json{0.25, 0.75});
  CHECK(run["steps"] ==
        nlohmann::json{{0.25, 3}, {0.75, 2}, {1.25, 2}, {1.75, 1}});  // between the steps' begin and end
}

TEST_CASE("report: how a run stands") {
  Report run = some_run("a run");
  run.all_epochs = 10, run.all_steps = 20, run.seconds_left = 300, run.overdue = 61;
  run.state = RunState::training;
  const std::string page = report_html(run);
  CHECK(contains(text_of_page(page), "Training: epoch 3 of 10, step 4 of 20, about 5 minutes left."));
  CHECK(contains(page, "max=\"20\" value=\"4\""));
  CHECK(contains(page, "http-equiv=\"refresh\""));
  CHECK(data_of(page)["left"] == 300);
  run.state = RunState::stopped;
  run.saved_steps = 4;
  CHECK(contains(text_of_page(report_html(run)),
                 "Stopped after step 4 of 20. build/train --resume 'a run' goes on from there."));
  run.state = RunState::failed;
  run.saved_steps = 2;
  CHECK(contains(text_of_page(report_html(run)),
                 "Ended by an error after step 4 of 20; the terminal says which. build/train --resume 'a run' goes on "
                 "from the checkpoint after step 2."));
  run.saved_steps = -1;
  CHECK(!contains(text_of_page(report_html(run)), "--resume"));
  run.saved_steps = 4, run.config = "{}";  // of a program of one's own
  CHECK(!contains(text_of_page(report_html(run)), "--resume"));
  for (const char* config : {"", "{", "[1]", "{\"flags\": 1}"}) {
    run.config = config;
    CHECK(text_of_page(report_html(run)).find("data_dir") == std::string::npos);
  }
  run.epochs.clear();
  CHECK(contains(text_of_page(report_html(run)), "No epoch is finished."));
}

TEST_CASE("report: steps stand in their epochs, whole, cut and of other lengths, and a cut one is not the best") {
  Report run = some_run("a run");  // epochs of 2 steps
  const auto steps = [&] {
    const nlohmann::json data = data_of(report_html(run));
    std::vector<double> at;
    for (const auto& point : data["runs"][0]["steps"]) at.push_back(point[0]);
    return at;
  };
  run.steps_per_epoch = 4;  // the second was cut; and the first was of other data
  CHECK(steps() == std::vector<double>{0.25, 0.75, 1.125, 1.375});
  CHECK(contains(text_of_page(report_html(run)), "Best epoch: 1,"));
  run.epochs.pop_back();
  run.losses.resize(2);
  CHECK(steps() == std::vector<double>{0.125, 0.375});
  CHECK(!contains(text_of_page(report_html(run)), "Best epoch"));
  run.epochs.clear();  // as before the first ends, whatever --max-steps and --epochs are
  run.all_epochs = 10, run.all_steps = 5;
  CHECK(steps() == std::vector<double>{0.125, 0.375});
  run.steps_per_epoch = 0;
  CHECK(steps().empty());
}

TEST_CASE("report: a long run's steps are averaged, each once") {
  Report run = some_run("long");
  run.losses.clear();
  for (int i = 0; i < 100'001; ++i) run.losses.push_back(i);
  run.epochs[1].step = 100'001;
  const nlohmann::json points = data_of(report_html(run))["runs"][0]["steps"];
  CHECK(points.size() <= 300);
  CHECK(points[0][1] == 166.5);       // the mean of 0 to 333: 334 steps each
  CHECK(points.back()[1] == 99'933);  // of what is left, 99'866 to 100'000
  CHECK(report_html(run).size() < 100'000);
}

TEST_CASE("report: of several runs, what differs") {
  Report a = some_run("a"), b = some_run("b");
  b.config = R"({"flags": {"lr": 0.2, "data_dir": "a&b", "tta": "flip"}})";
  const std::string page = comparison_html({a, b}), text = text_of_page(page);
  CHECK(contains(text, "2 runs side by side"));
  CHECK(contains(page, "<tr><th scope=\"row\">lr</th><td>0.1</td><td>0.2</td></tr>"));
  CHECK(contains(page, "<tr><th scope=\"row\">tta</th><td></td><td>flip</td></tr>"));
  CHECK(!contains(text, "data_dir"));
  CHECK(fails([] { comparison_html({}); }, {"no run"}));
}

TEST_CASE("report: read from a folder") {
  const TempFolder folder;
  const RunFolder run(folder.path());
  const Report was = some_run("x");
  std::ofstream(run.metrics()) << metrics_csv(was.epochs);
  CHECK(read_report("x", run).losses.empty());
  std::ofstream(run.losses()) << "step,loss\n1,3.000000\n2,2.5\n";
  std::ofstream(run.config()) << was.config;
  const Report is = read_report("x", run);
  CHECK(is.losses == std::vector<double>{3, 2.5});
  CHECK(is.config == was.config);
  CHECK(is.epochs.size() == 2);
}
