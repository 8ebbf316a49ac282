// Measures speed: a line a figure, "name value unit", and where the time of a training step goes. The machine's other
// work disturbs every absolute figure. What can be compared is measured in turn, round by round, and what is said of it
// is the median of the rounds' ratios.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <iostream>
#include <numeric>
#include <sstream>

#include "apps/common/command_line.h"
#include "apps/common/products_of_step.h"
#include "nn/models/any_model.h"
#include "optim/sgd.h"
#include "optim/training/step.h"
#include "tensor/backend.h"
#include "tensor/comm.h"
#include "tensor/profile.h"
#include "tensor/storage.h"
#include "tensor/threads.h"

using namespace bobbin;

namespace {

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  backend::wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double median_of_ratios(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < a.size(); ++i) ratios.push_back(a[i] / b[i]);
  return median(ratios);
}

// The seconds of each of several works, one row of rounds for each. All of them run in turn in every round, and in one
// more at first that does not count.
std::vector<std::vector<double>> in_turn(int rounds, const std::vector<std::function<void()>>& works) {
  std::vector<std::vector<double>> times(works.size());
  for (int round = 0; round <= rounds; ++round)
    for (std::size_t i = 0; i < works.size(); ++i)
      if (const double s = seconds(works[i]); round > 0) times[i].push_back(s);
  return times;
}

void print(const std::string& name, double value, const char* unit) {
  std::printf("%s %.4g %s\n", name.c_str(), value, unit);
  std::fflush(stdout);
}

// A model and a batch of noise; training and evaluating on it.
struct Workload {
  Rng rng{0};
  AnyModel model;
  SGD sgd{named_parameters(model)};
  Tensor X;
  Labels y;

  Workload(const AnyConfig& c, Index batch_size)
      : model(c, rng), X(rng.uniform({batch_size, c.num_channels(), c.img_size().height, c.img_size().width})) {
    for (Index i = 0; i < batch_size; ++i) y.push_back(static_cast<int>(i % c.num_classes()));
  }
  void train_step() {
    train(model);
    training_step(model, sgd, CrossEntropy(), X, y, 0.001);
  }
  void evaluate() {
    eval(model);
    model(X);
  }
};

// 2·n³ floating-point operations in a square product.
double gemm_gflops(int rounds) {
  constexpr Index n = 2048;
  Rng rng(0);
  const Tensor a = rng.uniform({n, n}), b = rng.uniform({n, n});
  return 2.0 * n * n * n / 1e9 / median(in_turn(rounds, {[&] { matmul(a, b); }})[0]);
}

// The most memory of the GPU that tensors hold in some steps.
double peak_gpu_mb(const ViTConfig& config, Index batch_size) {
  memory::reset_peak();
  Workload work(config, batch_size);
  work.train_step();
  work.train_step();
  return static_cast<double>(memory::stats().peak_in_use) / (1 << 20);
}

// The most memory that a process of its own needs for some steps. Before the first thread starts: fork copies one only.
double peak_rss_mb(const ViTConfig& config, Index batch_size, Precision precision) {
  const pid_t child = fork();
  if (child == 0) try {
      const ProductsIn products_in(precision);
      Workload work(config, batch_size);
      work.train_step();
      work.train_step();
      _exit(0);
    } catch (const std::exception& error) {
      _exit(command_line::exit_code("bench", error));
    }
  int status = 0;
  rusage usage{};
  check(child > 0 && wait4(child, &status, 0, &usage) == child && WIFEXITED(status), "bench",
        "a process that measures memory failed");
  if (status != 0) std::exit(WEXITSTATUS(status));  // it has said why
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

// Other programs at work while it lives: processes that count.
class BusyPrograms {
 public:
  explicit BusyPrograms(int count) {
    for (int i = 0; i < count; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);  // ends with this program, however that ends
        for (volatile unsigned counter = 0;;) counter = counter + 1;
      }
      if (child > 0) children_.push_back(child);
    }
  }
  ~BusyPrograms() {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }
  BusyPrograms(const BusyPrograms&) = delete;
  BusyPrograms& operator=(const BusyPrograms&) = delete;

 private:
  std::vector<pid_t> children_;
};

// The model of train's preset quick, whose steps take milliseconds: how fast it trains alone and beside as many busy
// programs as threads. Those that wait for one another should not keep those that work from their core.
void measure_beside_others(int rounds) {
  constexpr Index batch_size = 64, steps = 40;
  Workload work(ViTConfig{.img_size = 28, .patch_size = 7, .num_hiddens = 96, .mlp_num_hiddens = 192, .num_heads = 4},
                batch_size);
  const auto train = [&] {
    for (Index i = 0; i < steps; ++i) work.train_step();
  };
  const auto images_per_s = [&] { return batch_size * steps / median(in_turn(rounds, {train})[0]); };
  print("small_model_img_per_s", images_per_s(), "images/s");
  const BusyPrograms busy(threads());
  print("small_model_beside_busy_img_per_s", images_per_s(), "images/s");
}

void measure(Index batch_size, int threads_to_use, Precision precision, int rounds) {
  const ViTConfig whole{.whole_last_block = true}, cls{};
  set_threads(threads_to_use);
  const double rss_whole = on_gpu ? 0 : peak_rss_mb(whole, batch_size, precision),
               rss_cls = on_gpu ? 0 : peak_rss_mb(cls, batch_size, precision);
  command_line::use_threads(threads_to_use);
  const ProductsIn products_in(precision);
  std::printf("# %s, %d threads, batch %ld, medians of %d rounds\n", backend::describe().c_str(), threads(),
              static_cast<long>(batch_size), rounds);
  print("gemm_peak_gflops", gemm_gflops(rounds), "GFLOP/s");

  const double images = static_cast<double>(batch_size);
  for (const ViTConfig& config : {whole, cls}) {
    const double peak_mb = on_gpu ? peak_gpu_mb(config, batch_size) : config.whole_last_block ? rss_whole : rss_cls;
    const std::string suffix = config.whole_last_block ? "" : "_cls";
    const ProductsOfStep products(config, batch_size);
    Workload work(config, batch_size);
    const std::vector<std::function<void()>> works{[&] { products.run(); }, [&] { work.train_step(); },
                                                   [&] { work.evaluate(); }};
    in_turn(1, works);
    const std::size_t before = memory::stats().system_allocations;
    const auto times = in_turn(rounds, works);
    print("gemm_floor_img_per_s" + suffix, images / median(times[0]), "images/s");
    print("train_img_per_s" + suffix, images / median(times[1]), "images/s");
    print("train_over_floor" + suffix, median_of_ratios(times[0], times[1]), "x");
    print("eval_img_per_s" + suffix, images / median(times[2]), "images/s");
    print("steady_state_system_allocations" + suffix, static_cast<double>(memory::stats().system_allocations - before),
          "");
    print((on_gpu ? "peak_gpu_mb" : "peak_rss_mb") + suffix, peak_mb, "MB");
  }

  Workload work(cls, batch_size);
  if (threads() > 1 && !on_gpu) {
    const int all = threads();
    const auto on = [&](int count) {
      return [&work, count] {
        set_threads(count);
        work.train_step();
      };
    };
    const auto times = in_turn(std::min(rounds, 5), {on(1), on(all)});
    print("train_threads_over_one", median_of_ratios(times[0], times[1]), "x");
  }
  measure_beside_others(rounds);
  profile::start();
  for (int i = 0; i < 3; ++i) work.train_step();
  profile::stop();
  std::printf("\nThree training steps, the last block for the class token only:\n%s", profile::table().c_str());
}

// A row of the sweep: what a training step has to do, how long that takes at the least, and how long it takes. At the
// least: each function computes at the speed of a large matrix product, or moves its operands and results at the speed
// of main memory, whichever takes longer (the "roofline" of Williams, Waterman and Patterson, 2009).
void print_cost(int rounds, const std::string& label, const ViTConfig& config, Index batch_size) {
  Workload work(config, batch_size);
  work.train_step();
  profile::start();
  work.train_step();
  profile::stop();
  const std::vector<profile::Row> rows = profile::rows();
  double flops = 0, bytes = 0;
  for (const profile::Row& r : rows) flops += r.flops, bytes += r.bytes;

  constexpr Index n = 1536, length = 1 << 24;  // the vectors leave the cache
  const Tensor a = Tensor::ones({n, n}), v = Tensor::ones({length}), w = Tensor::ones({length});
  const auto times = in_turn(rounds, {[&] { matmul(a, a); }, [&] { v + w; }, [&] { work.train_step(); }});
  std::vector<double> least(times[2].size(), 0);
  for (std::size_t i = 0; i < least.size(); ++i) {
    const double flops_per_second = 2.0 * n * n * n / times[0][i],
                 bytes_per_second = 3.0 * sizeof(real) * length / times[1][i];
    for (const profile::Row& r : rows) least[i] += std::max(r.flops / flops_per_second, r.bytes / bytes_per_second);
  }
  std::printf("| %s | %.2f | %.2f | %.1f | %.1f | %.2f | %.0f |\n", label.c_str(), flops / 1e9, bytes / 1e9,
              1e3 * median(least), 1e3 * median(times[2]), median_of_ratios(times[2], least),
              static_cast<double>(batch_size) / median(times[2]));
  std::fflush(stdout);
}

// How the cost grows, as a table.
void sweep(int rounds) {
  const int all = threads();
  std::printf("# %s, %d threads, medians of %d rounds\n\n", backend::describe().c_str(), all, rounds);
  std::puts(
      "| | GFLOP | GB moved | least ms | measured ms | measured / least | images/s |\n|---|---|---|---|---|---|---|");
  for (const Index batch_size : {1, 2, 8, 32, 128, 512})
    print_cost(rounds, "batch " + std::to_string(batch_size), {}, batch_size);
  for (const Index size : {48, 96, 144, 192, 224})
    print_cost(rounds, "image " + std::to_string(size) + ", batch 32", {.img_size = size}, 32);
  for (const int blocks : {1, 2, 4, 8})
    print_cost(rounds, "blocks " + std::to_string(blocks) + ", batch 32", {.num_blks = blocks}, 32);
  for (const int heads : {1, 4, 8, 16, 64})
    print_cost(rounds, "heads " + std::to_string(heads) + ", batch 32", {.num_heads = heads}, 32);
  for (int count = 1; count <= all && !on_gpu; count = count < all ? std::min(2 * count, all) : all + 1) {
    set_threads(count);
    print_cost(rounds, "threads " + std::to_string(count) + ", batch 32", {}, 32);
  }
}

// Sums over the ranks: how long one takes (sum_of), by how much longer products take that are computed meanwhile
// (beside), and how long it takes to copy the numbers into a bucket and out of it. Before that, how long the slowest
// rank takes for what all do, beside their mean: in a step the others wait for it.
void measure_sums(int rounds) {
  Rng rng(0);
  const Tensor a = rng.normal({256, 256});
  const double product = median(in_turn(9, {[&] { matmul(a, a); }})[0]);
  if (comm::rank() == 0) std::printf("# %d ranks, medians of %d rounds\n", comm::size(), rounds);
  double of_a_step = 0.5 / product;
  comm::broadcast(&of_a_step, sizeof of_a_step);
  std::vector<double> slowest;
  for (int round = 0; round < 4 * rounds; ++round) {
    std::vector<double> all(static_cast<std::size_t>(comm::size()));
    comm::barrier();
    all[static_cast<std::size_t>(comm::rank())] = seconds([&] {
      for (double i = 0; i < of_a_step; ++i) matmul(a, a);
    });
    all = comm::sum_of_all_ranks(std::move(all));
    slowest.push_back(*std::ranges::max_element(all) / std::accumulate(all.begin(), all.end(), 0.0) * comm::size());
  }
  if (comm::rank() == 0)
    print("slowest_rank", std::accumulate(slowest.begin(), slowest.end(), 0.0) / static_cast<double>(slowest.size()),
          "of the mean");
  for (int bits = 0; bits <= 22; bits += 2) {
    const Index n = Index{1} << bits, sums = std::clamp<Index>((Index{1} << 20) / n, 1, 32);
    const std::shared_ptr<real> x = memory::allocate(n), gradient = memory::allocate(n);
    for (const auto& numbers : {x, gradient}) backend::fill(numbers.get(), 0, n);
    const auto repeat = [&](const std::function<void()>& work) {
      for (Index i = 0; i < sums; ++i) work();
    };
    const auto sum = [&] { repeat([&] { comm::begin_sum(x, n).wait(); }); };
    // Products for twice as long as a sum takes, on all ranks as many.
    comm::barrier();
    double products = 2 * median(in_turn(rounds, {sum})[0]) / static_cast<double>(sums) / product;
    comm::broadcast(&products, sizeof products);
    const auto compute = [&] {
      for (double i = 0; i < products; ++i) matmul(a, a);
    };
    const auto times = in_turn(rounds, {sum, [&] { repeat(compute); },
                                        [&] {
                                          repeat([&] {
                                            comm::Sum under_way = comm::begin_sum(x, n);
                                            compute();
                                            under_way.wait();
                                          });
                                        },
                                        [&] {
                                          repeat([&] {
                                            backend::copy_rows(gradient.get(), n, x.get(), n, 1, n);
                                            backend::copy_rows(x.get(), n, gradient.get(), n, 1, n);
                                          });
                                        }});
    if (comm::rank() > 0) continue;
    std::vector<double> beside;
    for (std::size_t i = 0; i < times[1].size(); ++i) beside.push_back(times[2][i] - times[1][i]);
    const auto show = [&](const char* name, const std::vector<double>& seconds) {
      print(name + std::to_string(n), median(seconds) / static_cast<double>(sums), "s");
    };
    show("sum_of_", times[0]), show("beside_", beside), show("copy_of_", times[3]);
  }
}

// A single convolution, forward, and with both gradients: BATCH,IN,OUT,SIDE,KERNEL,STRIDE,GROUPS, with half the kernel
// as padding.
struct Convolution {
  Rng rng{0};
  Conv2dOptions options;
  Tensor x, W, dY;

  explicit Convolution(const std::vector<Index>& row)
      : options{.stride = row[5], .padding = row[4] / 2, .groups = row[6]},
        x(rng.uniform({row[0], row[1], row[3], row[3]})),
        W(rng.uniform({row[2], row[1] / row[6], row[4], row[4]})),
        dY(rng.uniform(conv2d(x, W, {}, options).shape())) {}
  void evaluate() {
    x.data();  // as if it were written: in bfloat16 it has to be rounded again
    conv2d(x, W, {}, options);
  }
  void train_step() {
    evaluate();
    dY.data();
    conv2d_backward_w(x, dY, W.shape(), options);
    conv2d_backward_x(W, dY, x.shape(), options);
  }
};

// Steps for each line on stdin, "train" or "eval" and, where they are so short that clocks and pipes would count, their
// number, answered with their seconds: so that another program can be measured in turn with this one, whatever else the
// machine is doing.
void lockstep(auto work) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string kind;
    int steps = 1;
    words >> kind >> steps;
    std::printf("%.6f\n", seconds([&] {
                  for (int i = 0; i < std::max(steps, 1); ++i) kind == "eval" ? work.evaluate() : work.train_step();
                }));
    std::fflush(stdout);
  }
}

// --model, which decides what other flags there are.
std::string model_named(int argc, char** argv) {
  std::string name = "vit";
  CLI::App app("", "bench");
  app.allow_extras();
  app.set_help_flag();
  app.add_option("--model", name)->check(CLI::IsMember(AnyConfig::names()));
  command_line::parse_or_exit(app, [&] { app.parse(argc, argv); });
  return name;
}

constexpr const char* of_the_model = "The model of --lockstep";

// The flags of the model's config: with them it is as large as you like. Any number of classes and channels, for there
// is no data set.
void add_sizes(CLI::App& app, AnyConfig& config) {
  app.option_defaults()->group(of_the_model);
  Fields fields;
  config.fields(fields);
  command_line::add_flags(app, fields);
  app.add_option("--num-classes", config.num_classes(), "classes")
      ->check(command_line::within(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--num-channels", config.num_channels(), "channels of the images")
      ->check(command_line::within(1, 4096))
      ->capture_default_str();
}

}  // namespace

int main(int argc, char** argv) try {
  wait_briefly(argv);
  int rounds = 7, count = default_threads();
  Index batch_size = 128;
  bool in_lockstep = false, in_sweep = false, of_sums = false;
  std::vector<Index> convolution;
  std::string name = model_named(argc, argv);
  AnyConfig config = AnyConfig::of(name);
  Precision precision = Precision::float32;
  CLI::App app("Measures training and evaluation of d2l.ai's Vision Transformer.", "bench");
  app.add_option("--rounds", rounds, "number of rounds, whose medians are printed")
      ->check(command_line::within(1, 1000))
      ->capture_default_str();
  app.add_option("-b,--batch-size", batch_size, "images per step")
      ->check(command_line::within(1, 60000))
      ->capture_default_str();
  app.add_option("--threads", count, "number of CPU threads")
      ->check(command_line::within(1, 1024))
      ->capture_default_str();
  CLI::Option* lock = app.add_flag("--lockstep", in_lockstep,
                                   "run a step for each line on stdin, \"train\" or \"eval\", or as many as it says, "
                                   "\"train 20\", and print the seconds");
  CLI::Option* which =
      app.add_option("--model", name, "the model whose steps they are")->needs(lock)->capture_default_str();
  command_line::choose_from(AnyConfig::names(), which);
  app.add_flag("--sweep", in_sweep, "print a table of the cost over batch size, image size, depth, heads and threads")
      ->excludes(lock)
      ->excludes("--batch-size");
  app.add_flag("--sums", of_sums, "measure sums over the ranks, which mpirun starts (make MPI=1)")
      ->excludes(lock)
      ->excludes("--sweep")
      ->excludes("--batch-size");
  app.add_option("--convolution", convolution,
                 "the step is that of one convolution: BATCH,IN,OUT,SIDE,KERNEL,STRIDE,GROUPS, padding half the kernel")
      ->delimiter(',')
      ->expected(7)
      ->check(command_line::within(1, 60000))
      ->needs(lock);
  command_line::add_precision(app, precision);
  add_sizes(app, config);
  command_line::parse_or_exit(app, [&] {
    app.parse(argc, argv);
    for (const CLI::Option* option : app.get_options())
      if (!in_lockstep && option->get_group() == of_the_model && option->count() > 0)
        throw CLI::ValidationError(option->get_name() + " is for --lockstep: the other figures are of d2l's model");
  });
  if (of_sums) {
    command_line::use_threads(count);
    measure_sums(rounds);
  } else if (!in_lockstep && !in_sweep) {
    measure(batch_size, count, precision, rounds);
  } else {
    command_line::use_threads(count);
    const ProductsIn products_in(precision);
    if (in_sweep)
      sweep(rounds);
    else if (!convolution.empty())
      lockstep(Convolution(convolution));
    else
      lockstep(Workload(config, batch_size));
  }
  command_line::check_printed();
} catch (const std::exception& error) {
  return command_line::exit_code("bench", error);
}
