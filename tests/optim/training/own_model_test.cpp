// A model that the library does not know, in a program of its own, with all kinds of state: the Trainer trains it, and
// a run that is killed and resumed is the run that never was.
#include <doctest/doctest.h>

#include <cstdlib>
#include <stdexcept>

#include "data/files/safetensors.h"
#include "nn/layers.h"
#include "optim/any_optimizer.h"
#include "optim/training/trainer.h"
#include "tensor/threads.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

// Each feature brought to mean 0 and variance 1 over the batch; in evaluation by the running means.
struct Norm {
  Var weight = Var::parameter(Tensor::ones({12}));
  Tensor running_mean = Tensor::zeros({12}), running_var = Tensor::ones({12});
  Training training;

  Var operator()(const Var& x) {
    if (!training.on) return (x - running_mean) / sqrt(Var(running_var) + real(1e-5)) * weight;
    const Var m = mean(x, 0), centred = x - m, v = mean(centred * centred, 0);
    running_mean = running_mean * real(0.9) + m.value() * real(0.1);      // another tensor
    running_var.assign(running_var * real(0.9) + v.value() * real(0.1));  // the same one
    return centred / sqrt(v + real(1e-5)) * weight;
  }
  void visit(auto&& v) {
    v("weight", weight), v("running_mean", running_mean), v("running_var", running_var), v("training", training);
  }
};

struct Own {
  BatchNorm2d images;
  Linear in, out;
  Norm norm;
  Rng dice;
  Training training;

  explicit Own(Rng& rng) : images(1), in(64, 12, rng), out(12, 3, rng), dice(rng.fork()) {}
  Var operator()(const Var& X) {
    const Var x = norm(in(flatten(images(X), 1)));
    return out(training.on ? x * dice.uniform(x.shape(), real(0.5), real(1.5)) : x);
  }
  void visit(auto&& v) {
    v("images", images), v("in", in), v("out", out), v("norm", norm), v("dice", dice), v("training", training);
  }
};

ImageDataset noise(Index count, std::uint64_t seed) {
  std::vector<std::uint8_t> bytes;
  Labels labels;
  for (const real x : Rng(seed).uniform({count * 64}, 0, 255).values()) bytes.push_back(static_cast<std::uint8_t>(x));
  for (Index i = 0; i < count; ++i) labels.push_back(static_cast<int>(i % 3));
  return {{count, 1, 8, 8}, bytes, labels, {"a", "b", "c"}};
}

// A program, started anew; it dies in step `dies_in`, if there is one.
struct Program {
  TrainAndTest data{noise(50, 1), noise(10, 2), "noise"};  // seven steps an epoch
  Rng rng{5};
  Own model{rng};
  std::unique_ptr<Optimizer> optimizer;
  Trainer trainer;

  Program(const fs::path& folder, const AnyOptimizerOptions& options, const ScheduleOptions& schedule,
          Index dies_in = 0)
      : optimizer(make_optimizer(options, named_parameters(model))),
        trainer(model, *optimizer,
                [this, dies_in](const Var& logits, const Targets& y) {
                  if (trainer.steps() + 1 == dies_in) throw std::runtime_error("killed");
                  return CrossEntropy{real(0.1)}(logits, y);
                },
                rng,
                {.epochs = 3,
                 .batch_size = 8,
                 .schedule = schedule,
                 .clip_grad = 1,
                 .output_dir = folder,
                 .save_every = 3}) {}
};

}  // namespace

TEST_CASE("trainer: a model of one's own, killed within an epoch or between two, goes on to the bit") {
  const struct {
    const char* name;
    AnyOptimizerOptions optimizer;
    ScheduleOptions schedule;
  } kinds[] = {{"adamw", AdamWOptions{}, {.sched = "cosine", .lr = 0.02, .warmup_epochs = 0.5}},
               {"sgd", SGDOptions{.momentum = real(0.9)}, {.sched = "onecycle", .lr = 0.2}}};
  for (const auto& kind : kinds) {
    const TempFolder folder;
    const std::string name = kind.name;
    CAPTURE(name);
    Program whole(folder / "whole", kind.optimizer, kind.schedule);
    const auto metrics = whole.trainer.fit(whole.data);
    CHECK(metrics[2].train_loss < metrics[0].train_loss);
    const auto saved = read_safetensors(folder / "whole/model.safetensors").tensors;
    CHECK(saved.at("norm.running_mean").values() == whole.model.norm.running_mean.values());
    CHECK(saved.at("norm.running_var").values() == whole.model.norm.running_var.values());
    CHECK(saved.at("norm.running_var").values() != std::vector<real>(12, 1));
    CHECK(saved.at("images.running_mean").item() == whole.model.images.running_mean.item());
    CHECK(saved.at("images.num_batches_tracked").item() == 21);

    for (const Index dies_in : {5, 8, 14, 15, 20}) {
      CAPTURE(dies_in);
      const fs::path run = folder / std::to_string(dies_in);
      Program killed(run, kind.optimizer, kind.schedule, dies_in);
      CHECK_THROWS(killed.trainer.fit(killed.data));
      Program resumed(run, kind.optimizer, kind.schedule);
      resumed.trainer.resume(RunFolder(run).newest_checkpoint());
      CHECK(resumed.trainer.steps() == (dies_in == 8 || dies_in == 15 ? dies_in - 1 : (dies_in - 1) / 3 * 3));
      resumed.trainer.fit(resumed.data);
      for (const char* file : {"losses.csv", "model.safetensors", "best.safetensors"})
        CHECK_MESSAGE(content(run / file) == content(folder / "whole" / file), file);
    }
  }
}

TEST_CASE("trainer: a checkpoint has the state of the model by its kind") {
  const TempFolder folder;
  Program program(folder / "run", AdamWOptions{}, {.lr = 0.01});
  program.trainer.fit(program.data);
  const Checkpoint c = read_run(folder / "run");
  CHECK(c.parameters.contains("norm.weight"));
  CHECK(c.buffers.size() == 5);
  CHECK(c.buffers.at("images.num_batches_tracked").item() == 21);
  CHECK(!c.optimizer_state.contains("exp_avg.images.running_mean"));
  CHECK(c.buffers.contains("norm.running_var"));
  CHECK(c.optimizer == "adamw");
  CHECK(c.optimizer_state.at("step.out.bias").item() == 21);
  CHECK(c.optimizer_state.at("exp_avg_sq.in.weight").shape() == Shape{12, 64});
  CHECK(c.streams.size() == 2);
  CHECK(c.streams.contains("dice"));

  Program other(folder / "other", SGDOptions{}, {.lr = 0.01});
  CHECK(fails([&] { other.trainer.resume(c); }, {"the optimizer \"adamw\", with which it has to go on, not sgd"}));
}

// For tests/apps/resume_test.cpp, which kills it.
TEST_CASE("own model: trains in a process of its own" * doctest::skip()) {
  const char* folder = std::getenv("BOBBIN_OWN_MODEL");
  REQUIRE(folder != nullptr);
  set_threads(1);
  Program program(folder, AdamWOptions{}, {.sched = "cosine", .lr = 0.02, .warmup_epochs = 0.5});
  if (fs::exists(fs::path(folder) / "metrics.csv")) program.trainer.resume(read_run(folder));
  program.trainer.fit(program.data);
}
