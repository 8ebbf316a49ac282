// Whatever goes wrong while a file is written: one sentence with its name and the reason, the file that was there
// before, and nothing half written beside it.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <functional>
#include <thread>

#include "apps/common/draw_tape.h"
#include "data/files/safetensors.h"
#include "data/files/write_file.h"
#include "data/images/codec.h"
#include "data/sets/tensor_dataset.h"
#include "nn/layers.h"
#include "nn/loss.h"
#include "optim/log/event_file.h"
#include "optim/log/training_log.h"
#include "optim/sgd.h"
#include "optim/training/run_folder.h"
#include "optim/training/trainer.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

// --- System calls that fail when a test wants it ------------------------------------------------------------------
//
// The test program's own functions come before those of the C library, for the library under test, too.

namespace {

struct SystemCalls {
  bool watched = false;
  int failing = -1;                // the call, counted from 0, that fails
  int reason = 0;                  // with this error
  std::size_t longest = SIZE_MAX;  // what a call of write() takes at most
  bool interrupted = false;        // whether every other call of write() is interrupted by a signal
  int made = 0;                    // calls so far
  std::function<bool(const std::string& file)> sync{};  // is called by fsync(), and says whether it fails
  bool fail() {
    if (!watched || made++ != failing) return false;
    errno = reason;
    return true;
  }
} calls;

template <class Function>
Function* original(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" ssize_t write(int file, const void* data, size_t size) {
  static const auto real_write = original<ssize_t(int, const void*, size_t)>("write");
  if (calls.fail()) return -1;
  if (calls.watched && calls.interrupted && calls.made % 2 == 0) return errno = EINTR, -1;
  return real_write(file, data, calls.watched ? std::min(size, calls.longest) : size);
}

extern "C" int fsync(int file) {
  static const auto real_fsync = original<int(int)>("fsync");
  if (calls.sync && calls.sync(fs::read_symlink("/proc/self/fd/" + std::to_string(file)).filename().string()))
    return errno = ENOSPC, -1;
  return calls.fail() ? -1 : real_fsync(file);
}

extern "C" int rename(const char* from, const char* to) noexcept {
  static const auto real_rename = original<int(const char*, const char*)>("rename");
  return calls.fail() ? -1 : real_rename(from, to);
}

extern "C" int open(const char* path, int flags, ...) {
  static const auto real_open = original<int(const char*, int, ...)>("open");
  va_list arguments;
  va_start(arguments, flags);
  const unsigned mode = flags & O_CREAT ? va_arg(arguments, unsigned) : 0;
  va_end(arguments);
  return calls.fail() ? -1 : real_open(path, flags, mode);
}

namespace {

// What f throws while the system calls go as `how` says.
template <class F>
std::string error_with(const SystemCalls& how, const F& f) {
  calls = how;
  calls.watched = true;
  const std::string error = error_of(f);
  calls.watched = false;
  return error;
}

// --- What writes files --------------------------------------------------------------------------------------------

// Writes `file` in the folder, and what is in it differs for each `version`.
struct Writer {
  std::string file;
  std::function<void(const fs::path& folder, int version)> write;
};

Checkpoint checkpoint(int version) {
  Checkpoint c;
  c.parameters = {{"w", Tensor::full({3, 5}, real(version))}};
  c.progress.losses = {1, 2, 3};
  return c;
}

EpochMetrics epoch(int number) { return {number, 10 * number, 1, loss_and_accuracy(2, 0.5), 0.1, 100, 1}; }

const std::vector<Writer>& writers() {
  static const std::vector<Writer> all{
      {"text", [](auto& folder, int version) { write_file(folder / "text", std::string(99, char('0' + version))); }},
      {"x.safetensors",
       [](auto& folder, int version) {
         write_safetensors(folder / "x.safetensors", {{"w", Tensor::full({7}, real(version))}});
       }},
      {"checkpoint-00000003.safetensors",
       [](auto& folder, int version) { RunFolder(folder).writing(checkpoint(version), 2)(); }},
      {"x.png",
       [](auto& folder, int version) {
         write_png(folder / "x.png", {1, 2, 3, {9, 3, 7, 255, 8, std::uint8_t(version)}});
       }},
      {"metrics.csv",
       [](auto& folder, int version) {
         Progress progress;
         for (int i = 1; i <= version; ++i) progress.epochs.push_back(epoch(i));
         TrainingLog(RunFolder(folder), 5, 1, 5, progress);
       }},
      {"tape.dot",
       [](auto& folder, int version) {
         write_picture("digraph { a -> b" + std::to_string(version) + " }", folder / "tape.dot");
       }},
  };
  return all;
}

// A folder in which the writer has written once, and what must be in it from then on.
struct Written {
  TempFolder folder;
  std::string before;
  explicit Written(const Writer& writer) {
    writer.write(folder.path(), 1);
    before = content(folder / writer.file);
    CHECK(before != "");
  }
  // All is as it was, but for event files, which each process begins anew.
  bool unchanged(const Writer& writer) const {
    bool others = false;
    for (const auto& file : fs::directory_iterator(folder.path())) {
      const std::string name = file.path().filename();
      others |= name != writer.file && !name.starts_with("events.out");
    }
    return !others && content(folder / writer.file) == before;
  }
};

// Lets files grow to so many bytes; writing more is like writing to a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

// What f throws when run as a user who may not write where we may.
template <class F>
std::string error_as_nobody(const F& f) {
  if (geteuid() != 0) return error_of(f);
  setfsuid(65534);  // for this thread only, and for files only
  const std::string error = error_of(f);
  setfsuid(0);
  return error;
}

bool one_line(const std::string& error, const Written& written, const std::string& reason) {
  return contains(error, written.folder.path().string() + "/") && contains(error, reason) && !contains(error, "\n");
}

}  // namespace

TEST_CASE("writes: each system call of each writer fails once") {
  for (const Writer& writer : writers()) {
    CAPTURE(writer.file);
    const Written written(writer);
    int call = 0;
    std::string error;
    do {
      CAPTURE(call);
      error = error_with({.failing = call, .reason = ENOSPC}, [&] { writer.write(written.folder.path(), 2); });
      if (error.empty()) break;
      CHECK(one_line(error, written, "No space left on device"));
      CHECK(written.unchanged(writer));
    } while (++call < 20);
    CHECK(call == 4);  // open, write, fsync, rename; that the folder is synced is only tried
    CHECK(content(written.folder / writer.file) != written.before);
  }
}

TEST_CASE("writes: a call that takes only a part, or is interrupted, goes on") {
  for (const Writer& writer : writers()) {
    CAPTURE(writer.file);
    const Written whole(writer), parts(writer);
    writer.write(whole.folder.path(), 2);
    CHECK(error_with({.longest = 3, .interrupted = true}, [&] { writer.write(parts.folder.path(), 2); }) == "");
    CHECK(content(parts.folder / writer.file) == content(whole.folder / writer.file));
    CHECK(calls.made > 10);
  }
}

TEST_CASE("writes: a disk that is full after so many bytes") {
  for (const Writer& writer : writers()) {
    CAPTURE(writer.file);
    const Written written(writer);
    for (const rlim_t size : {std::size_t{0}, std::size_t{1}, written.before.size() / 2, written.before.size() - 1}) {
      CAPTURE(size);
      std::string error;
      {
        const FileSizeLimit limit(size);
        error = error_of([&] { writer.write(written.folder.path(), 2); });
      }
      CHECK(one_line(error, written, "File too large"));
      CHECK(written.unchanged(writer));
    }
  }
}

TEST_CASE("writes: a folder that is another's") {
  for (const Writer& writer : writers()) {
    CAPTURE(writer.file);
    const Written written(writer);
    fs::permissions(written.folder.path(), fs::perms(0555));
    const std::string error = error_as_nobody([&] { writer.write(written.folder.path(), 2); });
    fs::permissions(written.folder.path(), fs::perms(0755));
    CHECK(one_line(error, written, "Permission denied"));
    CHECK(written.unchanged(writer));
  }
}

TEST_CASE("writes: whether a file can be written is known before the work") {
  const TempFolder folder;
  const auto says = [&](const std::string& name, const std::string& reason) {
    const std::string error = error_of([&] { check_can_write(folder / name); });
    return contains(error, "cannot write " + (folder / name).string()) && contains(error, reason);
  };
  check_can_write(folder / "new");
  write_file(folder / "old", "old");
  check_can_write(folder / "old");
  CHECK(content(folder / "old") == "old");
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
  CHECK(says("none/new", "No such file or directory"));
  CHECK(says(std::string(300, 'x'), "File name too long"));
  CHECK(says("", "Is a directory"));
  fs::permissions(folder.path(), fs::perms(0555));
  CHECK(contains(error_as_nobody([&] { check_can_write(folder / "new"); }), "Permission denied"));
  fs::permissions(folder.path(), fs::perms(0755));
}

TEST_CASE("writes: a pipe where a file would be begun is not waited for") {
  const TempFolder folder;
  REQUIRE(mkfifo((folder / ("x." + std::to_string(getpid()) + ".tmp")).c_str(), 0600) == 0);
  alarm(20);
  CHECK(fails([&] { write_file(folder / "x", "content"); }, {"cannot write " + (folder / "x").string()}));
  alarm(0);
  CHECK(!fs::exists(folder / "x"));
}

TEST_CASE("writes: a folder that is gone") {
  for (const Writer& writer : writers()) {
    CAPTURE(writer.file);
    const Written written(writer);
    fs::remove_all(written.folder.path());
    CHECK(one_line(error_of([&] { writer.write(written.folder.path(), 2); }), written, "No such file or directory"));
    CHECK(!fs::exists(written.folder.path()));
  }
}

TEST_CASE("writes: a training log in whose folder nothing can be written any more") {
  const TempFolder folder;
  const auto end_epoch = [](TrainingLog& log) {
    Progress progress;
    progress.begin_epoch();
    progress.add_step(1, 8, 0.1, 1);
    progress.end_epoch(loss_and_accuracy(1, 0.5), 2);
    log.epoch_ended(progress);
  };
  for (const char* file : {"metrics.csv", "curves.svg", "losses.csv"}) {
    CAPTURE(file);
    const fs::path run = folder / std::string(file) / "run";
    fs::create_directories(run);
    TrainingLog log(RunFolder(run), 3, 1, 3);
    end_epoch(log);
    const std::string before = content(run / file);
    const fs::path beside = run / (std::string(file) + "." + std::to_string(getpid()) + ".tmp");
    fs::create_directories(beside);  // where it would be written
    CHECK(fails([&] { end_epoch(log); }, {(run / file).string(), "Is a directory"}));
    CHECK(content(run / file) == before);
    fs::remove(beside);
    fs::remove_all(run);
    CHECK(fails([&] { end_epoch(log); }, {(run / "metrics.csv").string(), "No such file or directory"}));
  }
}

namespace {

// A run of 12 steps, with a checkpoint after each.
struct Run {
  ~Run() { calls.sync = nullptr; }

  TempFolder folder;
  std::atomic<int> steps = 0;
  std::function<void()> in_step = [] {};
  const std::thread::id training = std::this_thread::get_id();

  void fit() {
    Rng rng(0);
    Linear model(2, 1, rng);
    SGD sgd(named_parameters(model));
    const TensorDataset data(rng.normal({48, 2}), rng.normal({48, 1}));
    Trainer trainer(
        model, sgd, rng,
        {.epochs = 3, .batch_size = 12, .schedule = {.lr = .1}, .output_dir = folder / "run", .save_every = 1});
    trainer.fit(data, [&](const TensorDataset::Batch& b) {
      ++steps;
      in_step();
      return mse_loss(model(b.x), b.y);
    });
  }
};

}  // namespace

TEST_CASE("writes: training goes on while its files are forced to the disk") {
  Run run;
  bool went_on = false;
  calls.sync = [&](const std::string& file) {
    if (std::this_thread::get_id() == run.training || !file.starts_with("checkpoint-00000001")) return false;
    for (int i = 0; i < 10000 && run.steps < 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    went_on = run.steps >= 2;
    return false;
  };
  run.fit();
  CHECK(went_on);
  CHECK(RunFolder(run.folder / "run").newest_checkpoint().progress.steps() == 12);
}

TEST_CASE("writes: a run's report does not say that it has ended before all is saved") {
  Run run;
  const fs::path report = RunFolder(run.folder / "run").report();
  std::atomic<int> saved = 0, too_early = 0;
  calls.sync = [&](const std::string&) {
    if (std::this_thread::get_id() == run.training) return false;
    ++saved;
    too_early += contains(content(report), "Ended");
    return false;
  };
  run.fit();
  CHECK(saved > 12);
  CHECK(too_early == 0);
  CHECK(contains(content(report), "Ended after 3 epochs and 12 steps"));
}

TEST_CASE("writes: a checkpoint that could not be forced to the disk ends the run; the one before stays") {
  Run run;
  std::atomic<bool> failed = false;
  calls.sync = [&](const std::string& file) {
    if (!file.starts_with("checkpoint-00000002")) return false;
    return failed = true;
  };
  run.in_step = [&] {  // so that it is known before the step ends
    for (int i = 0; run.steps == 3 && i < 10000 && !failed; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(run.steps == 3 ? 50 : 0));
  };
  const std::string error = error_of([&] { run.fit(); });
  CHECK(contains(error, "checkpoint-00000002.safetensors: No space left on device"));
  CHECK(run.steps < 12);
  const std::string losses = content(run.folder / "run/losses.csv");
  CHECK(std::count(losses.begin(), losses.end(), '\n') == 1 + run.steps);  // each step that was taken has its row
  CHECK(RunFolder(run.folder / "run").newest_checkpoint().progress.steps() == 1);
  CHECK(contains(content(RunFolder(run.folder / "run").report()), "Ended by an error after step "));
  for (const auto& file : fs::directory_iterator(run.folder / "run")) CHECK(file.path().extension() != ".tmp");
}

TEST_CASE("writes: an event file on a full disk keeps its whole records") {
  const TempFolder folder;
  EventFile events(folder.path());
  events.write(1, {{"loss", 1}});
  const std::string before = content(events.path());
  {
    const FileSizeLimit limit(before.size() + 5);
    CHECK(fails([&] { events.write(2, {{"loss", 2}}); }, {events.path().string(), "File too large"}));
  }
  CHECK(content(events.path()).starts_with(before));
  CHECK(fails([&] { EventFile(folder / "none"); }, {(folder / "none").string(), "No such file or directory"}));
  fs::permissions(folder.path(), fs::perms(0555));
  CHECK(contains(error_as_nobody([&] { EventFile(folder.path()); }), "Permission denied"));
  fs::permissions(folder.path(), fs::perms(0755));
}
