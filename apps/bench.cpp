// Measures speed: a line a figure, "name value unit". The machine's other work disturbs every one of them; only
// ratios of figures of one run say something, and medians of several rounds.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>

#include "nn/vit.h"
#include "optim/trainer.h"
#include "tensor/storage.h"
#include "tensor/threads.h"

using namespace bobbin;

namespace {

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The median time of several rounds, after one that is not counted.
double median_seconds(int rounds, const std::function<void()>& work) {
  work();
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) times.push_back(seconds(work));
  return median(times);
}

void print(const char* name, double value, const char* unit) {
  std::printf("%s %.4g %s\n", name, value, unit);
  std::fflush(stdout);
}

// The chapter's model and a batch of noise; training and evaluating on it.
struct Workload {
  Rng rng{0};
  ViT model;
  SGD sgd{parameters(model), {.lr = real(0.001)}};
  Tensor X;
  Labels y;

  Workload(Index batch_size, bool whole_last_block)
      : model({.whole_last_block = whole_last_block}, rng), X(rng.uniform({batch_size, 1, 96, 96})) {
    for (Index i = 0; i < batch_size; ++i) y.push_back(static_cast<int>(i % 10));
  }
  void train_step() {
    train(model);
    training_step(model, sgd, X, y);
  }
  void evaluate() {
    eval(model);
    model(X);
  }
};

// 2·n³ floating-point operations, as a chain of square products.
double gemm_gflops(int rounds) {
  constexpr Index n = 2048;
  Rng rng(0);
  const Tensor a = rng.uniform({n, n}), b = rng.uniform({n, n});
  return 2.0 * n * n * n / 1e9 / median_seconds(rounds, [&] { matmul(a, b); });
}

// A step for each line on stdin, "train" or "eval", answered with its seconds: so that another program can be
// measured in turn with this one, whatever else the machine is doing.
void lockstep(Workload& work) {
  for (std::string line; std::getline(std::cin, line);) {
    std::printf("%.6f\n", seconds([&] { line == "eval" ? work.evaluate() : work.train_step(); }));
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  int rounds = 7, count = threads();
  Index batch_size = 128;
  bool in_lockstep = false, whole = false;
  CLI::App app("Measures the training step and the evaluation of the chapter's Vision Transformer.", "bench");
  app.add_option("--rounds", rounds, "of which the median is printed")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("-b,--batch-size", batch_size, "images in a step")->check(CLI::Range(1, 60000))->capture_default_str();
  app.add_option("--threads", count, "threads to compute on")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_flag("--whole-last-block", whole, "compute all of the last block, not only what the head sees");
  app.add_flag("--lockstep", in_lockstep,
               "make a step for each line on stdin, \"train\" or \"eval\", and print its seconds");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "bench: %s (--help lists the flags)\n", error.what());
    return 2;
  }
  set_threads(count);
  Workload work(batch_size, whole);
  if (in_lockstep) {
    lockstep(work);
    return 0;
  }

  std::printf("# %s, %d threads, batch %ld, medians of %d rounds\n", describe_blas().c_str(), threads(),
              static_cast<long>(batch_size), rounds);
  print("gemm_peak_gflops", gemm_gflops(rounds), "GFLOP/s");
  const double images = static_cast<double>(batch_size);
  work.train_step();
  work.train_step();
  const std::size_t before = memory::stats().system_allocations;
  print("train_img_per_s", images / median_seconds(rounds, [&] { work.train_step(); }), "images/s");
  print("steady_state_system_allocations", static_cast<double>(memory::stats().system_allocations - before), "");
  print("eval_img_per_s", images / median_seconds(rounds, [&] { work.evaluate(); }), "images/s");
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  print("peak_rss_mb", static_cast<double>(usage.ru_maxrss) / 1024, "MB");
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench: %s\n", error.what());
  return 1;
}
