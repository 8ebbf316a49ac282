// The program is killed, its disk is full, its folder is gone: a run that is resumed ends as one that was never
// stopped.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "optim/log/metrics.h"
#include "optim/training/run_folder.h"
#include "tests/apps/program.h"
#include "tests/data/files.h"
#include "tests/optim/log/decode_events.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

namespace {

// A program, started and not waited for; what it says goes to a file.
class Process {
 public:
  Process(std::vector<std::string> words, const fs::path& output, rlim_t file_size = RLIM_INFINITY) {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    child_ = fork();
    REQUIRE(child_ >= 0);
    if (child_ > 0) return;
    const int file = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    const rlimit limit{file_size, file_size};
    setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, SIG_IGN);
    execv(argv[0], argv.data());
    _exit(127);
  }
  ~Process() { kill(); }

  /// As a shell reports it: 128 + the signal that ended it.
  int wait() {
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  int kill() {
    if (child_ < 0) return -1;
    ::kill(child_, SIGKILL);
    return wait();
  }

 private:
  pid_t child_ = -1;
};

// A training run of a tiny model, in a folder of its own.
class Run {
 public:
  Run(const TempFolder& folder, const std::string& name, int save_every, const std::vector<std::string>& flags = sgd)
      : path_(folder / name), output_(folder / (name + ".txt")) {
    if (const fs::path data = folder / "data"; !fs::exists(data)) write_small_cifar10(data);
    start_ = {binary("train"), "--data-dir", (folder / "data").string(), "--output-dir", path_.string()};
    for (const char* word :
         {"--img-size",  "8",   "--patch-size", "4", "--num-hiddens", "8",   "--mlp-num-hiddens", "16",
          "--num-heads", "2",   "--num-blks",   "1", "--emb-dropout", "0.1", "--blk-dropout",     "0.1",
          "--hflip",     "0.5", "--batch-size", "8", "--epochs",      "4",   "--threads",         "1"})
      start_.push_back(word);
    start_.insert(start_.end(), {"--save-every", std::to_string(save_every)});
    start_.insert(start_.end(), flags.begin(), flags.end());
    resume_ = {binary("train"), "--resume", path_.string()};
  }
  // The model of tests/optim/training/own_model_test.cpp, which has buffers, trained by this very program.
  static Run of_own_model(const TempFolder& folder, const std::string& name) {
    Run run(folder, name, 3);
    run.start_ = run.resume_ = {"/proc/self/exe", "--no-skip", "-tc=own model: trains in a process of its own"};
    run.own_ = true;
    return run;
  }

  inline static const std::vector<std::string> sgd{"--lr", "0.05", "--momentum", "0.9"},
      adamw{"--opt",           "adamw", "--weight-decay", "0.1",   "--lr",         "0.01",     "--sched",  "cosine",
            "--warmup-epochs", "0.75",  "--min-lr",       "0.001", "--mixup",      "0.2",      "--cutmix", "1",
            "--random-erase",  "0.3",   "--auto-augment", "ra",    "--hflip-mode", "alternate"};

  Process start(rlim_t file_size = RLIM_INFINITY) const { return process(start_, file_size); }
  Process resume() const { return process(resume_, RLIM_INFINITY); }
  // Whether it begins anew by itself where there is no checkpoint.
  bool begins_anew() const { return own_; }

  const fs::path& path() const { return path_; }
  std::string output() const { return content(output_); }
  void forget() const { fs::remove_all(path_); }

  // The checkpoints, each of which must be whole.
  std::vector<fs::path> checkpoints() const {
    std::vector<fs::path> found;
    for (const fs::path& file : files("checkpoint-", ".safetensors")) {
      CHECK(error_of([&] { read_checkpoint(file); }) == "");
      found.push_back(file);
    }
    return found;
  }
  std::vector<fs::path> files(const std::string& begin, const std::string& end) const {
    std::vector<fs::path> found;
    std::error_code none;
    for (const auto& file : fs::directory_iterator(path_, none))
      if (const std::string name = file.path().filename(); name.starts_with(begin) && name.ends_with(end))
        found.push_back(file.path());
    return found;
  }

  // All that a run makes and that does not tell of time.
  std::string result() const {
    std::string all =
        content(path_ / "losses.csv") + content(path_ / "model.safetensors") + content(path_ / "best.safetensors");
    for (const EpochMetrics& e : read_metrics(path_ / "metrics.csv"))
      all += std::to_string(e.step) + " " + std::to_string(e.train_loss) + " " + std::to_string(e["val_loss"]) + "\n";
    return all;
  }

  // The steps that TensorBoard would show of a curve, in order.
  std::vector<Index> points(const std::string& tag) const {
    std::vector<Index> steps;
    for (const fs::path& file : files("events.out.tfevents.", ""))
      for (const Event& event : decode(file))
        for (const auto& [name, value] : event.scalars)
          if (name == tag) steps.push_back(static_cast<Index>(event.step));
    std::sort(steps.begin(), steps.end());
    return steps;
  }

 private:
  Process process(const std::vector<std::string>& words, rlim_t file_size) const {
    if (own_) setenv("BOBBIN_OWN_MODEL", path_.c_str(), 1);
    return Process(words, output_, file_size);
  }

  fs::path path_, output_;
  std::vector<std::string> start_, resume_;
  bool own_ = false;
};

// Whether the program's last words are one sentence that begins with its name.
bool says(const std::string& output, const std::string& part) {
  const std::size_t begin = output.rfind("train: ");
  if (begin == std::string::npos) return false;
  const std::string last = output.substr(begin);
  return contains(last, part) && std::count(last.begin(), last.end(), '\n') == 1;
}

// Kills the run so many times, at random moments, and resumes it: it must end as `whole`, which was left alone.
void kill_and_compare(const Run& whole, const Run& run, int all_kills) {
  static std::mt19937 random(1);
  const auto begin = Clock::now();
  REQUIRE(whole.start().wait() == 0);
  const auto duration = Clock::now() - begin;
  const std::string result = whole.result();
  const std::vector<Index> steps = whole.points("loss");
  CHECK(steps.front() == 1);
  CHECK(steps.back() == static_cast<Index>(steps.size()));
  CHECK(whole.points("val_loss").back() == steps.back());

  int kills = 0, finished = 0, resumed = 0;
  while (kills < all_kills || finished == 0) {
    const std::size_t before = run.checkpoints().size();
    const bool going_on = before > 0;
    if (!going_on && fs::exists(run.path())) {  // too soon for a checkpoint
      if (!run.begins_anew()) {
        CHECK(run.resume().wait() == 1);
        CHECK(says(run.output(), "no checkpoint"));
      }
      run.forget();
    }
    resumed += going_on;
    Process process = going_on ? run.resume() : run.start();
    // Of those that begin anew every second one is left alone until it has a checkpoint, however busy the machine is.
    const auto latest = Clock::now() + std::chrono::minutes(1);
    while (kills < all_kills && !going_on && kills % 2 == 1 && run.files("checkpoint-", ".safetensors").empty() &&
           Clock::now() < latest)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    if (kills < all_kills) std::this_thread::sleep_for(duration * (random() % 1000) / 2000);
    const int status = kills < all_kills ? process.kill() : process.wait();
    kills += status == 128 + SIGKILL;
    INFO("kill ", kills, ": ", run.output());
    // Two are kept, and there is one more between the writing of the newest and the removal of the oldest.
    CHECK(run.checkpoints().size() <= std::max<std::size_t>(before, 2) + 1);
    CHECK(run.files("checkpoint-", ".tmp").size() <= 1);
    if (status == 128 + SIGKILL) continue;
    REQUIRE(status == 0);
    ++finished;
    CHECK(run.result() == result);
    CHECK(run.checkpoints().size() == 2);
    for (const char* tag : {"loss", "lr", "train_loss", "val_loss", "val_acc"})
      CHECK_MESSAGE(run.points(tag) == whole.points(tag), tag);
    CHECK(run.files("", ".tmp").empty());
    run.forget();
  }
  CHECK(resumed > 0);
}

}  // namespace

TEST_CASE("resume: a run that is killed a hundred times is the run that never was") {
  const TempFolder folder;
  const struct {
    const char* name;
    int save_every, kills;
    const std::vector<std::string>& flags;
  } runs[] = {{"sgd1", 1, 20, Run::sgd},
              {"sgd3", 3, 20, Run::sgd},
              {"adamw1", 1, 20, Run::adamw},
              {"adamw3", 3, 20, Run::adamw}};
  for (const auto& r : runs) {
    CAPTURE(r.name);
    kill_and_compare(Run(folder, std::string("whole-") + r.name, r.save_every, r.flags),
                     Run(folder, std::string("killed-") + r.name, r.save_every, r.flags), r.kills);
  }
  kill_and_compare(Run::of_own_model(folder, "whole-own"), Run::of_own_model(folder, "killed-own"), 20);
  const Run teacher(folder, "teacher", 20);
  REQUIRE(teacher.start().wait() == 0);
  std::vector<std::string> learns{"--teacher", teacher.path().string(), "--distilled", "--distillation-type", "soft"};
  learns.insert(learns.end(), Run::sgd.begin(), Run::sgd.end());
  kill_and_compare(Run(folder, "whole-student", 3, learns), Run(folder, "killed-student", 3, learns), 10);
}

TEST_CASE("resume: a disk that fills up in the middle of a run costs nothing but the time") {
  const TempFolder folder;
  const Run whole(folder, "whole", 1), run(folder, "full", 1);
  REQUIRE(whole.start().wait() == 0);
  const auto largest = fs::file_size(whole.path() / "checkpoint-00000020.safetensors");
  // Each step adds a loss to the checkpoint, each epoch its metrics; how long the times in them are differs a little.
  for (const std::uintmax_t missing : {100, 200, 400}) {
    CAPTURE(missing);
    run.forget();
    CHECK(run.start(largest - missing).wait() == 1);
    INFO(run.output());
    CHECK(says(run.output(), "File too large"));
    CHECK(says(run.output(), run.path().string()));
    CHECK(run.files("", ".tmp").empty());
    CHECK(run.checkpoints().size() == 2);
    CHECK(run.resume().wait() == 0);
    CHECK(run.result() == whole.result());
  }
}

TEST_CASE("resume: a folder that goes away in the middle of a run") {
  const TempFolder folder;
  const Run whole(folder, "whole", 3), run(folder, "gone", 3);
  REQUIRE(whole.start().wait() == 0);
  int status = 0;
  for (int attempt = 0; attempt < 20 && status == 0; ++attempt) {  // until it goes before the run is at its end
    fs::remove_all(folder / "elsewhere");
    Process process = run.start();
    for (int i = 0; i < 600'000 && run.files("checkpoint-", ".safetensors").empty(); ++i)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    REQUIRE(!run.files("checkpoint-", ".safetensors").empty());
    fs::rename(run.path(), folder / "elsewhere");
    status = process.wait();
  }
  INFO(run.output());
  CHECK(status == 1);
  CHECK(says(run.output(), "No such file or directory"));
  CHECK(says(run.output(), run.path().string()));
  CHECK(!fs::exists(run.path()));
  const Run elsewhere(folder, "elsewhere", 3);
  CHECK(!elsewhere.checkpoints().empty());
  CHECK(elsewhere.resume().wait() == 0);
  CHECK(elsewhere.result() == whole.result());
}

TEST_CASE("resume: a run in bfloat16 goes on in bfloat16") {
  const TempFolder folder;
  const auto flags = [](std::vector<std::string> more) {
    more.insert(more.end(), Run::sgd.begin(), Run::sgd.end());
    return more;
  };
  const Run whole(folder, "whole", 3, flags({"--precision", "bfloat16"})), exact(folder, "exact", 3),
      part(folder, "part", 3, flags({"--precision", "bfloat16", "--max-steps", "7"}));
  for (const Run* run : {&whole, &exact, &part}) REQUIRE(run->start().wait() == 0);
  CHECK(contains(whole.output(), "bfloat16"));  // by what it is multiplied
  CHECK(!contains(exact.output(), "bfloat16"));
  CHECK(content(whole.path() / "model.safetensors") != content(exact.path() / "model.safetensors"));
  const Result resumed = run(program("train") + " --max-steps 0 --resume " + part.path().string());
  INFO(resumed.output);
  CHECK(resumed.status == 0);
  CHECK(contains(resumed.output, "resumed  after step 7\n"));
  CHECK(contains(resumed.output, "bfloat16"));
  for (const char* file : {"losses.csv", "model.safetensors"})
    CHECK(content(part.path() / file) == content(whole.path() / file));
}

TEST_CASE("resume: a run that the first version of the program began goes on as there") {
  const TempFolder folder;
  write_small_cifar10(folder / "data");
  fs::create_directories(folder / "run");
  fs::copy("tests/optim/training/first_format.safetensors", folder / "run/checkpoint-00000007.safetensors");
  const Result resumed = run(program("train") + " --resume " + (folder / "run").string() + " --data-dir " +
                             (folder / "data").string() + " --max-steps 0");
  INFO(resumed.output);
  REQUIRE(resumed.status == 0);
  const std::vector<double> losses{2.383226, 2.378600, 2.449903, 2.395113, 2.306152, 2.402885, 2.351114,
                                   2.316998, 2.209331, 2.499173, 2.384165, 2.258600, 2.505789};  // of steps 8 to 20
  std::vector<double> ours = RunFolder(folder / "run").newest_checkpoint().progress.losses;
  REQUIRE(ours.size() == 20);
  for (std::size_t i = 0; i < losses.size(); ++i) CHECK(ours[7 + i] == doctest::Approx(losses[i]).epsilon(1e-5));
}
