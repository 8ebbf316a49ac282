#include "optim/log/training_log.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
using std::chrono::milliseconds;

namespace {

// What f() prints, on stdout and on stderr, which are files meanwhile.
std::pair<std::string, std::string> printed_by(const std::function<void()>& f) {
  const TempFolder folder;
  std::fflush(stdout);
  int before[2];
  for (const int fd : {1, 2}) {
    before[fd - 1] = dup(fd);
    const int file = open((folder / std::to_string(fd)).c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(file, fd);
    close(file);
  }
  f();
  std::fflush(stdout);
  for (const int fd : {1, 2}) {
    dup2(before[fd - 1], fd);
    close(before[fd - 1]);
  }
  return {content(folder / "1"), content(folder / "2")};
}

}  // namespace

TEST_CASE("training_log: the progress line counts within the epoch, also with max_steps") {
  TrainingLog log(RunFolder(""), 10, 50, 30);  // 10 epochs of 50 steps, stopped after 30
  Progress progress;
  progress.begin_epoch();
  const auto began = TrainingLog::clock();
  for (int i = 0; i < 15; ++i) progress.add_step(i < 5 ? 1 : 4, 2, 0.1, 5 * (i + 1));
  CHECK(log.progress_line(progress, 100, began + std::chrono::seconds(3725)) ==
        "epoch 1/10   30%  loss 3.0000  1:02:05 gone, 1:15 left  0.4 images/s");
  printed_by([&] { log.step_ended(progress, 3, 4, began); });
  const auto at = [&](int columns) { return log.progress_line(progress, columns, began + std::chrono::seconds(75)); };
  const std::string all = "epoch 1/10   30%  loss 3.0000  acc 0.750  1:15 gone, 1:15 left  0.4 images/s";
  CHECK(at(1000) == all);
  // Of a narrow terminal's line less and less is left.
  CHECK(at(static_cast<int>(all.size())) == all);
  CHECK(at(static_cast<int>(all.size()) - 1) == "epoch 1/10   30%  loss 3.0000  acc 0.750  1:15 gone, 1:15 left");
  CHECK(at(60) == "epoch 1/10   30%  loss 3.0000  1:15 gone, 1:15 left");
  CHECK(at(50) == "epoch 1/10   30%  loss 3.0000");
  CHECK(at(20) == "epoch 1/10   30%");
  CHECK(at(5) == "epoch");
}

TEST_CASE("training_log: the time that is left counts the validations, guessed at first, then measured") {
  TrainingLog log(RunFolder(""), 2, 10, 20, {}, 6);
  Progress progress;
  progress.begin_epoch();
  auto time = TrainingLog::clock();
  printed_by([&] {
    for (int i = 0; i < 10; ++i) {
      progress.add_step(1, 2, 0.1, 3 * (i + 1));
      log.step_ended(progress, 1, 2, time += std::chrono::seconds(3));
    }
  });
  // 10 steps of 3 seconds, and two times 6 of a third of it.
  CHECK(contains(log.progress_line(progress), " 0:42 left"));
  printed_by([&] { log.validated(progress, 3, time); });
  const std::string line = log.progress_line(progress);
  CHECK(line.starts_with("epoch 1/2  validation  50%  loss 1.0000  acc 0.500"));
  CHECK(contains(line, " 0:39 left"));
  printed_by([&] {
    progress.end_epoch(loss_and_accuracy(1, 1), 32);
    log.epoch_ended(progress, time += std::chrono::seconds(20));
    progress.begin_epoch();
    progress.add_step(1, 2, 0.1, 3);
    log.step_ended(progress, 2, 2, time += std::chrono::seconds(3));
  });
  CHECK(contains(log.progress_line(progress), "epoch 2/2   10%  loss 1.0000  acc 1.000"));  // of this epoch
  CHECK(contains(log.progress_line(progress), " 0:47 left"));                               // 9 · 3 + 20
}

TEST_CASE("training_log: it says once, after the first steps, how long all will take") {
  TrainingLog log(RunFolder(""), 3, 1000, 3000, {}, 300);
  Progress progress;
  progress.begin_epoch();
  auto time = TrainingLog::clock();
  const auto [out, err] = printed_by([&] {
    for (int i = 0; i < 20; ++i) {
      progress.add_step(1, 2, 0.1, i == 0 ? 9 : 9 + 0.4 * i);
      log.step_ended(progress, 1, 2, time += milliseconds(i == 0 ? 9000 : 400));  // the first is slow
    }
  });
  // 2,996 steps of 0.4 s and three validations of 300 · 0.4 / 3 s are 1318 seconds.
  CHECK(out == "time     about 22 minutes, judged by the first steps, of 0.4 s each\n");
  CHECK(err == "");
}

TEST_CASE("training_log: of short epochs the first says how long all will take, before the table") {
  TrainingLog log(RunFolder(""), 1000, 3, 3000, {}, 1);
  Progress progress;
  auto time = TrainingLog::clock();
  const auto [out, err] = printed_by([&] {
    for (int epoch = 1; epoch <= 2; ++epoch) {
      progress.begin_epoch();
      for (int i = 1; i <= 3; ++i) {
        progress.add_step(1, 2, 0.1, 0.1 * i);
        log.step_ended(progress, 1, 2, time += milliseconds(100));
      }
      progress.end_epoch(loss_and_accuracy(1, 1), 0.5);
      log.epoch_ended(progress, time += milliseconds(200));
    }
  });
  // 2,997 steps of 0.1 s, 999 validations of 0.2 s
  CHECK(out.starts_with("time     about 8 minutes, judged by the first steps, of 0.1 s each\nepoch  train_loss"));
  CHECK(std::count(out.begin(), out.end(), '\n') == 4);
}

TEST_CASE("training_log: where there is no terminal, a whole line at least every minute, also in validation") {
  TrainingLog log(RunFolder(""), 3, 100, 300, {}, 100);
  Progress progress;
  progress.begin_epoch();
  const auto began = TrainingLog::clock();
  auto time = began;
  const auto [out, err] = printed_by([&] {
    for (int i = 0; i < 100; ++i) {
      progress.add_step(1, 2, 0.1, 4 * (i + 1));
      log.step_ended(progress, 1, 2, time += std::chrono::seconds(4));
    }
    for (int i = 1; i <= 100; ++i) log.validated(progress, i, time += std::chrono::seconds(1));
  });
  CHECK(std::count(out.begin(), out.end(), '\n') == 1);  // how long it will take
  const auto lines = std::count(err.begin(), err.end(), '\n');
  CHECK(lines >= 8);  // in 500 seconds
  CHECK(lines <= 10);
  CHECK(contains(err, "validation"));
  CHECK(err.find_first_of("\r\033") == std::string::npos);
  CHECK(err.ends_with("images/s\n"));
}

TEST_CASE("training_log: the report stands there from the first step, and a run goes on where it cannot be written") {
  const TempFolder folder;
  const RunFolder run(folder.path());
  const auto [out, err] = printed_by([&] {
    TrainingLog log(run, 2, 2, 4);
    Progress progress;
    auto time = TrainingLog::clock();
    const auto step = [&] {
      progress.add_step(1, 2, 0.1, 1);
      log.step_ended(progress, 1, 2, time += milliseconds(100));
    };
    progress.begin_epoch();
    step();
    CHECK(contains(content(run.report()), "Training: epoch 1 of 2, step 1 of 4"));
    step();  // within ten seconds
    CHECK(contains(content(run.report()), "step 1 of 4"));
    progress.end_epoch(loss_and_accuracy(1, 1), 2);
    log.epoch_ended(progress, time);
    CHECK(contains(content(run.report()), "Training: epoch 2 of 2, step 2 of 4"));

    std::filesystem::remove(run.report());
    std::filesystem::create_directory(run.report());
    progress.begin_epoch();
    time += std::chrono::seconds(20);
    step();
    time += std::chrono::seconds(20);
    step();
    std::filesystem::remove(run.report());
    progress.end_epoch(loss_and_accuracy(1, 1), 2);
    log.epoch_ended(progress, time);
    CHECK(contains(content(run.report()), "Training: epoch 2 of 2, step 4 of 4"));  // it is being saved
    log.ended(progress);
    CHECK(contains(content(run.report()), "Ended after 2 epochs and 4 steps"));
    log.failed(progress);
    CHECK(contains(content(run.report()), "Ended by an error after step 4 of 4"));
    const TrainingLog resumed(run, 3, 2, 6, progress);  // before its first step
    CHECK(contains(content(run.report()), "Training: epoch 3 of 3, step 4 of 6"));
  });
  CHECK(contains(err, "report.html"));
  CHECK(contains(err, "; training goes on without it\n"));
  CHECK(err.find("goes on") == err.rfind("goes on"));  // said once
}
