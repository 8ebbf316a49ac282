// Training on several ranks, which mpirun starts: the same as one process, whatever happens to a rank. Without MPI, or
// in a build with sanitizers, there is no such program, and these test cases are skipped.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>

#include "data/images/codec.h"
#include "optim/log/metrics.h"
#include "optim/training/run_folder.h"
#include "tests/apps/program.h"
#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

// Whether there is a program for several ranks; if not, says that the test case is skipped.
bool no_ranks() {
  const bool none = !fs::exists(binary("mpi/train")) || run("command -v mpirun").status != 0;
  if (none) std::puts("skipped a test case: no build/mpi/train, or no mpirun");
  return none;
}

// The words that start so many ranks, root or not, whatever the number of cores, on one thread each.
std::string mpirun() {
  return "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive; timeout "
         "--foreground 100 mpirun -q --oversubscribe --bind-to none ";
}
std::string ranks(int count, const std::string& flags, const std::string& program = "train") {
  return mpirun() + "-np " + std::to_string(count) + " " + binary("mpi/" + program) + " " + flags +
         (program == "train" ? " < /dev/null" : "");
}

const std::string vit =
    "--patch-size 4 --num-hiddens 8 --mlp-num-hiddens 16 --num-heads 2 --num-blks 1 --emb-dropout .1 --blk-dropout .1 ";
const std::string convnet = "--model convnet --width 4 --opt sgd ";  // the last of its BatchNorms see a single pixel

// A tiny model, on 40 images in batches of 16, 16 and 8, of which some ranks get none.
std::string tiny(const TempFolder& folder, const std::string& name, const std::string& more,
                 const std::string& model = vit) {
  const fs::path data = folder / "data";
  if (!fs::exists(data)) write_small_cifar10(data);
  return model + "--data-dir " + data.string() + " --output-dir " + (folder / name).string() +
         " --img-size 8 --hflip .5 --batch-size 16 --threads 1 " + more;
}

std::vector<double> losses(const fs::path& run) {
  std::ifstream file(run / "losses.csv");
  std::vector<double> all;
  std::string line;
  for (std::getline(file, line); std::getline(file, line);) all.push_back(std::stod(line.substr(line.find(',') + 1)));
  return all;
}

double difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

// The same run in one process, and on 1, 2, 3 and 4 ranks.
void check_same_training(const std::string& flags, const std::string& model = vit) {
  const TempFolder folder;
  const Result alone = run(program("train") + " " + tiny(folder, "alone", flags, model));
  REQUIRE_MESSAGE(alone.status == 0, alone.output);
  const std::vector<double> expected = losses(folder / "alone");
  REQUIRE(expected.size() >= 20);
  const std::vector<EpochMetrics> epochs = read_metrics(folder / "alone" / "metrics.csv");
  for (int n = 1; n <= 4; ++n) {
    const fs::path path = folder / std::to_string(n);
    const Result r = run(ranks(n, tiny(folder, std::to_string(n), flags, model)));
    INFO(n, " ranks, ", flags, ": ", r.output);
    REQUIRE(r.status == 0);
    CHECK(difference(losses(path), expected) < 1e-5);
    const std::vector<EpochMetrics> now = read_metrics(path / "metrics.csv");
    REQUIRE(now.size() == epochs.size());
    for (std::size_t e = 0; e < now.size(); ++e) {
      CHECK(std::abs(now[e]["val_loss"] - epochs[e]["val_loss"]) < 1e-5);
      CHECK(now[e]["val_acc"] == epochs[e]["val_acc"]);
    }
    const std::string report = content(path / "report.html");
    CHECK(contains(report, "What the model of the last epoch makes of the images to validate"));
    if (n > 1) continue;
    CHECK(losses(path) == expected);
    CHECK(content(path / "model.safetensors") == content(folder / "alone" / "model.safetensors"));
  }
}

// Starts three ranks, sends one of them the signal after so many seconds, and waits for the end.
Result happens(const TempFolder& folder, const std::string& flags, const std::string& signal, int rank, double after) {
  const std::string ids = (folder / "ids").string();
  fs::remove(ids);
  return run(mpirun() + "-np 3 sh -c 'echo $OMPI_COMM_WORLD_RANK $$ >> " + ids + "; exec " + binary("mpi/train") + " " +
             flags + "' < /dev/null & ranks=$!; for i in $(seq 300); do test $(cat " + ids +
             " 2> /dev/null | wc -l) = 3 && break; sleep .1; done; sleep " + std::to_string(after) + "; kill -" +
             signal + " $(sed -n 's/^" + std::to_string(rank) + " //p' " + ids + "); wait $ranks");
}

// Whether no rank of the last happens() lives: mpirun ends them, and may itself be gone a moment before.
bool all_ended(const TempFolder& folder) {
  return run("for id in $(sed 's/.* //' " + (folder / "ids").string() +
             "); do for i in $(seq 50); do kill -0 $id 2> /dev/null || break; sleep .1; done; kill -0 $id 2> /dev/null "
             "&& ps -o pid,stat,args -p $id && exit 1; done; exit 0")
             .status == 0;
}

// The newest checkpoint, which must be whole.
Index newest(const fs::path& run) {
  Index steps = -1;
  REQUIRE(error_of([&] { steps = RunFolder(run).newest_checkpoint().progress.steps(); }) == "");
  return steps;
}

}  // namespace

TEST_CASE("ranks: the library's own tests, on 1 to 4 of them") {
  if (no_ranks()) return;
  for (int n = 1; n <= 4; ++n) {
    const Result r = run(mpirun() + "-np " + std::to_string(n) + " " + binary("mpi/test_ranks") + " < /dev/null");
    INFO(n, " ranks: ", r.output);
    CHECK(r.status == 0);
  }
}

TEST_CASE("ranks: the same with an emulated GPU each, whose sums go by an emulated NCCL") {
  if (no_ranks()) return;
  const auto test = [](int ranks, const std::string& settings) {
    return run("export OMP_NUM_THREADS=1 " + settings + "; " + mpirun() + "-np " + std::to_string(ranks) + " " +
               binary("mpi/test_ranks_emulated") + " < /dev/null");
  };
  for (int n = 1; n <= 3; ++n) {
    const Result r = test(n, "CUDA_EMULATOR_DEVICES=" + std::to_string(n));
    INFO(n, " ranks: ", r.output);
    CHECK(r.status == 0);
  }
  const auto says = [](const Result& r, const std::string& part) {
    INFO(r.output);
    CHECK(r.status != 0);
    CHECK(contains(r.output, part));
  };
  says(test(2, "CUDA_EMULATOR_DEVICES=1"), "ranks 0 and 1 have the same GPU: start no more ranks on a machine than");
  says(test(2, "CUDA_EMULATOR_DEVICES=2 CUDA_EMULATOR_FAIL=ncclCommGetAsyncError:2"),
       "[nccl] ncclAllReduce failed: remote process exited");
}

TEST_CASE("ranks: 1, 2, 3 and 4 train as one process, dropout and flips included") {
  if (no_ranks()) return;
  check_same_training("--epochs 7 --lr .05 --momentum .9");
}

TEST_CASE(
    "ranks: so they do with all augmentations, clipping, averaged weights, a schedule and several passes a step") {
  if (no_ranks()) return;
  check_same_training(
      "--epochs 7 --opt adamw --weight-decay .1 --lr .01 --sched cosine --warmup-epochs .75 --mixup .2 --cutmix 1 "
      "--random-erase .3 "
      "--auto-augment ra --hflip-mode alternate --clip-grad .5 --ema-decay .9");
  check_same_training("--lr .05 --grad-accum-steps 2 --epochs 14 --clip-grad .5 --mixup .4");
}

TEST_CASE("ranks: so they do with weights of the classes, which the images of some ranks do not have") {
  if (no_ranks()) return;
  check_same_training("--lr .05 --epochs 7 --class-weights balanced --smoothing .1");
}

TEST_CASE("ranks: so they do with BatchNorm's statistics of all ranks, and not with those of each") {
  if (no_ranks()) return;
  check_same_training("--epochs 7 --lr .003 --sync-batch-norm", convnet);
  const TempFolder folder;
  const Result own = run(ranks(2, tiny(folder, "own", "--epochs 7 --lr .003", convnet)));
  const Result all = run(ranks(2, tiny(folder, "all", "--epochs 7 --lr .003 --sync-batch-norm", convnet)));
  INFO(own.output, all.output);
  CHECK(contains(own.output, "ranks    2; BatchNorm's mean and variance are those of each rank's images"));
  CHECK(contains(all.output, "ranks    2\n"));
  CHECK(difference(losses(folder / "own"), losses(folder / "all")) > 1e-3);
}

TEST_CASE("ranks: so they do with a teacher, whose logits are stored or asked for in each step") {
  if (no_ranks()) return;
  const TempFolder folder;
  REQUIRE(run(program("train") + " " + tiny(folder, "teacher", "--seed 5 --epochs 2", convnet)).status == 0);
  const std::string student =
      "--distilled --distillation-type soft --epochs 7 --lr .05 --teacher " + (folder / "teacher").string();
  check_same_training(student);
  check_same_training(student + " --crop-padding 1");
}

TEST_CASE("ranks: gradients go as bfloat16, near the others, and not the same") {
  if (no_ranks()) return;
  const TempFolder folder;
  const auto losses_with = [&](int n, const std::string& precision) {
    const std::string name = precision + std::to_string(n);
    const Result r = run(ranks(n, tiny(folder, name, "--epochs 7 --lr .05 --comm-precision " + precision)));
    INFO(r.output);
    REQUIRE(r.status == 0);
    return losses(folder / name);
  };
  const std::vector<double> exact = losses_with(2, "float32");
  CHECK(losses_with(1, "bfloat16") == losses_with(1, "float32"));
  const double away = difference(losses_with(2, "bfloat16"), exact);
  CHECK((away > 1e-6 && away < 1e-2));
}

TEST_CASE("ranks: evaluate and classify say the same, in the same order") {
  if (no_ranks()) return;
  const TempFolder folder;
  REQUIRE(run(program("train") + " " + tiny(folder, "run", "--epochs 2")).status == 0);
  const std::string model = (folder / "run/model.safetensors").string(), data = (folder / "data").string(),
                    pictures = (folder / "pictures").string();
  const Bytes pixels = noise(37 * 192);
  for (int i = 0; i < 37; ++i) {
    const auto first = pixels.begin() + 192 * i;
    fs::create_directories(pictures);
    write_png(fs::path(pictures) / (std::to_string(100 + i) + ".png"), {3, 8, 8, {first, first + 192}});
  }
  test::write_file(fs::path(pictures) / "104.png", Bytes(100, 7));
  Bytes damaged = test::read_file(fs::path(pictures) / "110.png");
  damaged[damaged.size() / 2] ^= 255;
  test::write_file(fs::path(pictures) / "110.png", damaged);
  const std::string list = "ls " + pictures + "/* | ", no_errors = " 2> /dev/null";
  const struct Command {
    std::string before, program, flags;
  } commands[] = {
      {"", "evaluate", "--threads 1 --batch-size 3 --tta flip --split train --data " + data + " " + model},
      {"", "classify", "--threads 1 --format csv " + model + " " + pictures},
      {list, "classify", "--threads 1 --logits --format json " + model + " -"},
      {"", "classify", "--threads 1 --features " + (folder / "features.csv").string() + " " + model + " " + pictures}};
  for (const Command& command : commands) {
    const std::string &before = command.before, &name = command.program, &flags = command.flags;
    const Result alone = run(before + program(name) + " " + flags + no_errors);
    const std::string features = fs::exists(folder / "features.csv") ? content(folder / "features.csv") : "";
    for (const int n : {1, 2, 3}) {
      fs::remove(folder / "features.csv");
      const Result r = run(before + "{ " + ranks(n, flags, name) + "; }" + no_errors);
      INFO(n, " ranks, ", name, " ", flags);
      CHECK(r.status == alone.status);
      CHECK(r.output == alone.output);
      if (features != "") CHECK(content(folder / "features.csv") == features);
    }
  }
  const std::string errors = run(ranks(2, "--threads 1 " + model + " " + pictures, "classify") + " > /dev/null").output;
  INFO(errors);
  CHECK((contains(errors, "104.png") && contains(errors, "110.png")));
}

TEST_CASE("ranks: on four hosts, whose only way to one another is TCP over a slow link, they train as one process") {
  if (no_ranks()) return;
  const std::string hosts = "sh tests/ranks/hosts.sh 4 1gbit ";
  if (const Result r = run(hosts + "true"); r.status == 77)
    return (void)std::printf("skipped a test case: %s", r.output.substr(r.output.find(": ") + 2).c_str());
  const TempFolder folder;
  const std::string flags = "--epochs 7 --lr .05 --momentum .9";
  REQUIRE(run(program("train") + " " + tiny(folder, "alone", flags)).status == 0);
  const Result r = run(hosts + "timeout 60 mpirun -q -np 4 " + binary("mpi/train") + " " + tiny(folder, "four", flags));
  REQUIRE_MESSAGE(r.status == 0, r.output);
  CHECK(difference(losses(folder / "four"), losses(folder / "alone")) < 1e-5);
}

TEST_CASE("ranks: a checkpoint of three goes on with two, and with one process") {
  if (no_ranks()) return;
  const TempFolder folder;
  REQUIRE(run(ranks(3, tiny(folder, "whole", "--epochs 7"))).status == 0);
  REQUIRE(run(ranks(3, tiny(folder, "cut", "--epochs 7 --max-steps 10"))).status == 0);
  fs::copy(folder / "cut", folder / "alone", fs::copy_options::recursive);
  const std::vector<double> whole = losses(folder / "whole");
  REQUIRE(run(ranks(2, "--max-steps 0 --resume " + (folder / "cut").string())).status == 0);
  CHECK(difference(losses(folder / "cut"), whole) < 1e-5);
  REQUIRE(run(program("train") + " --max-steps 0 --resume " + (folder / "alone").string()).status == 0);
  CHECK(difference(losses(folder / "alone"), whole) < 1e-5);
}

TEST_CASE("ranks: one that is killed or stopped ends all within the timeout, and the run goes on to the same end") {
  if (no_ranks()) return;
  const TempFolder folder;
  std::mt19937 random(1);
  std::string flags = "--epochs 4000 --save-every 2";
  REQUIRE(run(ranks(3, tiny(folder, "whole", flags + " --max-steps 400"))).status == 0);
  flags += " --comm-timeout 2";
  const std::vector<double> whole = losses(folder / "whole");
  int resumed = 0;
  for (const std::string signal : {"KILL", "STOP"})
    for (const int rank : {0, 2}) {
      const std::string name = signal + std::to_string(rank);
      fs::remove_all(folder / name);
      const double after = 1.2 + std::uniform_real_distribution<double>(0, 1)(random);
      const Result r = happens(folder, tiny(folder, name, flags), signal, rank, after);
      INFO(name, " after ", after, " s: ", r.output);
      CHECK(r.status != 0);
      CHECK(r.status != 124);  // that of timeout
      CHECK(all_ended(folder));
      if (signal == "STOP") CHECK(contains(r.output, "not every other rank was heard of in 2 seconds"));
      if (!fs::exists(folder / name / "metrics.csv")) continue;  // before the first step
      if (run("ls " + (folder / name).string() + "/checkpoint-*").status != 0) continue;
      const Index steps = newest(folder / name);
      if (steps >= 390) continue;  // a fast machine
      REQUIRE(
          run(ranks(3, "--max-steps " + std::to_string(steps + 10) + " --resume " + (folder / name).string())).status ==
          0);
      const std::vector<double> now = losses(folder / name);
      CHECK(static_cast<Index>(now.size()) == steps + 10);
      CHECK(difference(now, {whole.begin(), whole.begin() + steps + 10}) < 1e-5);
      ++resumed;
    }
  CHECK(resumed > 0);
}

TEST_CASE("ranks: other flags, other data or another program on one of them end all, in a sentence") {
  if (no_ranks()) return;
  const TempFolder folder;
  const std::string first = tiny(folder, "run", "--comm-timeout 3"), train = "-np 1 " + binary("mpi/train") + " ";
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string flags = first;
    return flags.replace(flags.find(from), from.size(), to);
  };
  fs::copy(folder / "data", folder / "other");
  Bytes bytes = test::read_file(folder / "other" / "data_batch_1.bin");
  bytes[1] ^= 1;
  test::write_file(folder / "other" / "data_batch_1.bin", bytes);
  const auto beside = [&](const std::string& program) {
    return run(mpirun() + train + first + " : -np 1 " + program + " < /dev/null");
  };
  const auto says = [](const Result& r, const std::string& part) {
    INFO(r.output);
    CHECK(r.status != 0);
    CHECK(r.status != 124);
    CHECK(contains(r.output, part));
  };
  const std::string program = binary("mpi/train") + " ";
  says(beside(program + first + " --lr .2"), "train: [ranks] rank 1 has --lr 0.2, rank 0 --lr 0.1");
  says(beside(program + replaced((folder / "data").string(), (folder / "other").string())),
       "rank 1 has the data (train)");
  says(beside(binary("mpi/test_ranks")), "rank 1 is another program, or another build, than rank 0");
  // Nor do two that evaluate or classify share the work on two models, or in two ways.
  REQUIRE(run(binary("train") + " " + tiny(folder, "a", "--epochs 1")).status == 0);
  REQUIRE(run(binary("train") + " " + tiny(folder, "b", "--epochs 1", convnet)).status == 0);
  const auto both = [&](const std::string& name, const std::string& one, const std::string& other) {
    const std::string start = "-np 1 " + binary("mpi/" + name) + " --threads 1 ";
    return run(mpirun() + start + one + " : " + start + other + " < /dev/null");
  };
  const std::string a = (folder / "a/model.safetensors").string(), b = (folder / "b/model.safetensors").string(),
                    data = " --data " + (folder / "data").string(), picture = (folder / "picture.png").string();
  const Bytes pixels = noise(192);
  write_png(picture, {3, 8, 8, {pixels.begin(), pixels.end()}});
  says(both("evaluate", "--batch-size 3 " + a + data, "--batch-size 5 " + a + data),
       "rank 1 has 8 images of test, 5 of them at a time, rank 0 8 images of test, 3 of them at a time");
  for (const std::string& other : {a + " --interpolation bicubic ", b + " "}) {
    const std::string differs = other.starts_with(a)
                                    ? "rank 1 has the model's preprocess/interpolation \"bicubic\", rank 0 the model's "
                                      "preprocess/interpolation \"bilinear\""
                                    : "rank 1 has the model's ";
    says(both("evaluate", a + data, other + data), differs);
    says(both("classify", a + " " + picture, other + picture), differs);
  }
  says(beside("/bin/true"), "not every process that was started together has begun in 3 seconds");
  CHECK(!fs::exists(folder / "run" / "losses.csv"));
  // One that has done its work, and does not come to the end of MPI.
  const std::string never = (folder / "never.so").string();
  REQUIRE(
      run("echo 'int MPI_Finalize(void) { for (;;) pause(); }' | cc -include unistd.h -shared -fPIC -x c - -o " + never)
          .status == 0);
  says(beside("env LD_PRELOAD=" + never + " " + program + first), "not every other rank has left in 3 seconds");
}

TEST_CASE("ranks: a program that knows of none says so where several are started") {
  if (run("command -v mpirun").status != 0) return (void)std::puts("skipped a test case: no mpirun");
  const TempFolder folder;
  const Result r = run(mpirun() + "-np 2 " + binary("train") + " " + tiny(folder, "run", ""));
  INFO(r.output);
  CHECK(r.status != 0);
  CHECK(contains(r.output, "2 processes were started together, and this program knows of no others: make MPI=1"));
}
