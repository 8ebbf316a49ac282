// What surrounds the programs: other processes, signals, and an output that nobody can write or reads.
#include <doctest/doctest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <set>
#include <utility>

#include "optim/training/run_lock.h"
#include "tests/apps/program.h"
#include "tests/cuda/emulator/sanitizers.h"
#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

// A folder to run in, with data, and the words that train a small model there.
struct Place {
  TempFolder folder;
  std::string program = fs::absolute(binary("train")).string();
  std::string train = program + " --preset mlp -b 8 --threads 1 --data-dir data --img-size 4";
  Place() { write_small_cifar10(folder / "data"); }
  /// What the command says and how it ends, at the latest after a minute.
  Result in(const std::string& command) const {
    return run("cd '" + folder.path().string() + "' && timeout --foreground -s KILL 60 bash -c '" + command + "'");
  }
};

// The command with which a run that was stopped says that it goes on.
std::string hint(const Result& stopped) {
  const std::string begin = "\ngo on with: ";
  const std::size_t at = stopped.output.rfind(begin);
  REQUIRE(at != std::string::npos);
  const std::size_t from = at + begin.size();
  return stopped.output.substr(from, stopped.output.find('\n', from) - from);
}

}  // namespace

TEST_CASE("programs that begin at once without --output-dir: each gets a folder of its own") {
  const Place place;
  for (int round = 0; round < 3; ++round) {
    const Result r =
        place.in("for i in 1 2 3 4 5 6; do " + place.train + " --epochs 2 > $i.log 2>&1 & p=\"$p $!\"; done; " +
                 "for i in $p; do wait $i || echo failed; done");
    CHECK(r.output == "");
    std::set<std::string> folders;
    for (int i = 1; i <= 6; ++i) {
      const std::string log = content(place.folder / (std::to_string(i) + ".log"));
      INFO(log);
      const std::size_t at = log.find("output   ");
      REQUIRE(at != std::string::npos);
      folders.insert(log.substr(at, log.find('\n', at) - at));
    }
    CHECK(folders.size() == 6);
  }
  CHECK(std::distance(fs::directory_iterator(place.folder / "runs"), {}) == 18);
}

TEST_CASE("a run's folder is for one process at a time") {
  const Place place;
  CHECK(place.in(place.train + " --epochs 2 --output-dir run").status == 0);
  const std::string before = content(place.folder / "run" / "metrics.csv");
  {
    const RunLock lock(place.folder / "run");
    for (const std::string flags : {" --epochs 2 --output-dir run", " --resume run --epochs 3"}) {
      const Result r = place.in((contains(flags, "--resume") ? place.program : place.train) + flags);
      INFO(flags, ": ", r.output);
      CHECK(r.status == 1);
      CHECK(contains(r.output, "another process is training in run"));
    }
    CHECK(fails([&] { RunLock second(place.folder / "run"); }, {"RunLock", "another process"}));
    CHECK(content(place.folder / "run" / "metrics.csv") == before);
  }
  CHECK(place.in(place.program + " --resume run --epochs 3").status == 0);
}

TEST_CASE("signals that the parent ignores stay ignored") {
  const Place place;
  // The shell in the middle ignores them, and so does what it starts.
  for (const char* signal : {"INT", "TERM", "HUP"}) {
    const std::string name(signal);
    const Result ignored = place.in("trap \"\" " + name + "; " + place.train + " --epochs 200 --output-dir " + name +
                                    " > log & sleep 0.3; kill -" + name + " $!; wait $!; echo ended $?");
    INFO(name, ": ", ignored.output);
    CHECK(contains(ignored.output, "ended 0"));
    CHECK(!contains(ignored.output, "stopped after"));
  }
}

TEST_CASE("signals that a training run answers: it saves, and says how to go on") {
  const Place place;
  for (const auto& [name, number] : {std::pair("TERM", SIGTERM), std::pair("HUP", SIGHUP)}) {
    const std::string signal(name), again = "kill -" + signal + " $! 2> /dev/null; sleep .001; ";
    const Result r = place.in(
        place.train + " --num-hiddens 30000 --epochs 100000 --output-dir " + signal +  // which takes time to save
        " > log & for i in $(seq 200); do sleep .1; test -s " + signal + "/report.html && break; done; " +
        "for i in 1 2 3 4 5 6 7 8; do " + again + "done; wait $!; echo ended $?");
    INFO(signal, ": ", r.output);
    CHECK(contains(r.output, "ended " + std::to_string(128 + number)));
    CHECK(hint(r) == place.program + " --resume " + signal);
    CHECK(place.in(hint(r) + " --max-steps 1").status == 0);
  }
}

TEST_CASE("a pipe that nobody reads any more ends a training run with a checkpoint") {
  const Place place;
  const Result r =
      place.in("set -o pipefail; " + place.train + " --epochs 100000 --output-dir run | head -n 8; echo ended $?");
  INFO(r.output);
  CHECK(contains(r.output, "ended " + std::to_string(128 + SIGPIPE)));
  CHECK(place.in(hint(r) + " --max-steps 1").status == 0);
}

TEST_CASE("the command with which a stopped run goes on is one that a shell takes, whatever its names") {
  const Place place;
  const fs::path here = place.folder / "it's a \"folder\" of $mine";
  fs::create_directories(here);
  fs::copy(place.folder / "data", here / "data");
  fs::copy(place.program, here / "train");
  for (const std::string name : {"a run", "-x", "~", "*;'\"$(touch no)"}) {
    CAPTURE(name);
    setenv("NAME", name.c_str(), 1);
    setenv("HERE", here.c_str(), 1);
    const Result r =
        run("cd \"$HERE\"; timeout --foreground 60 ./train --preset mlp -b 8 --threads 1 --data-dir data --img-size 4 "
            "--epochs 100000 --output-dir=\"$NAME\" > log & for i in $(seq 200); do sleep .1; test -s "
            "./\"$NAME\"/report.html && "
            "break; done; kill -INT $!; wait $!");
    INFO(r.output);
    CHECK(r.status == 130);
    std::ofstream(here / "go on") << hint(r) + " --max-steps 1 > log\n";
    const Result on = run("cd \"$HERE\"; timeout 60 sh './go on'");
    INFO(on.output);
    CHECK(on.status == 0);
    CHECK(contains(content(here / "log"), "resumed  after step"));
    CHECK(!fs::exists(here / "no"));
  }
  unsetenv("NAME");
  unsetenv("HERE");
}

TEST_CASE("an output that cannot be written is an error of every program") {
  const Place place;
  CHECK(place.in(place.train + " --epochs 2 --output-dir run").status == 0);
  const std::string build = fs::absolute(binary("")).string();
  for (const char* program :
       {"train --resume run --epochs 3", "plot run -o x.svg", "evaluate run/model.safetensors --data-dir data",
        "classify --help", "attention --help", "bench --help", "plot --help", "train --help", "evaluate --help"}) {
    const Result r = place.in(build + program + " > /dev/full");
    INFO(program, ": ", r.output);
    CHECK(r.status == 1);
    CHECK(contains(r.output, "[stdout] not all that there is to say could be written"));
  }
  CHECK(fs::exists(place.folder / "run" / "checkpoint-00000015.safetensors"));  // the work is done all the same
}

#ifndef EMULATOR_ASAN  // which wants memory of its own
TEST_CASE("a limit on memory that leaves no room for OpenBLAS's buffers is a sentence, not an endless wait") {
  const Place place;
  const Result r = place.in("ulimit -d 330000; OMP_NUM_THREADS=2 " + place.train + " --output-dir run");
  INFO(r.output);
  CHECK(r.status == 1);
  CHECK(contains(r.output, "out of memory"));
}
#endif
