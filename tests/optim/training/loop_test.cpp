// What changes the loop of the Trainer: gradients that add up over several batches, and stopping early.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "data/sets/tensor_dataset.h"
#include "nn/layers.h"
#include "optim/adamw.h"
#include "optim/training/trainer.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

// Learns a line from 37 examples, which no batch size divides.
struct Program {
  Rng rng{3};
  TensorDataset data{Rng(1).normal({37, 4}), Rng(2).normal({37, 1})};
  Linear model{4, 1, rng};
  AdamW adamw{named_parameters(model)};
  Trainer trainer;

  explicit Program(TrainerOptions options) : trainer(model, adamw, rng, std::move(options)) {}
  auto fit(const std::function<Metrics()>& validate = {}) {
    const auto loss = [&](const TensorDataset::Batch& b) {
      const Var d = model(b.x) - b.y;
      return mean(d * d);
    };
    return trainer.fit(data, loss, validate);
  }
};

TrainerOptions in_parts(Index batch_size, Index parts, const fs::path& folder, Index max_steps = 0) {
  return {.epochs = 3,
          .batch_size = batch_size,
          .grad_accum_steps = parts,
          .max_steps = max_steps,
          .schedule = {.lr = .05},
          .clip_grad = .5,
          .output_dir = folder};
}

// Fits with these losses of the validation, one an epoch.
std::vector<EpochMetrics> fit_seeing(const std::vector<double>& losses, TrainerOptions options) {
  options.epochs = static_cast<int>(losses.size());
  options.batch_size = 37;
  Program program(options);
  std::size_t epoch = 0;
  return program.fit([&] { return Metrics{{"val_loss", losses[epoch++]}}; });
}

}  // namespace

TEST_CASE(
    "trainer: gradients of several batches add up to those of one as large, the last uneven one by its examples") {
  const TempFolder folder;
  Program whole(in_parts(8, 1, folder / "whole"));
  const auto epochs = whole.fit();
  const std::vector<real> weight = whole.model.weight.value().values();
  CHECK(epochs[2].step == 15);
  for (const Index size : {4, 2, 1}) {
    const Index parts = 8 / size;
    CAPTURE(size);
    const fs::path run = folder / std::to_string(size);
    Program program(in_parts(size, parts, run));
    const auto same = program.fit();
    REQUIRE(same.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(same[i].step == epochs[i].step);
      CHECK(same[i].train_loss == doctest::Approx(epochs[i].train_loss).epsilon(1e-5));
    }
    const std::vector<real> got = program.model.weight.value().values();
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(weight[i]).epsilon(1e-4));

    // Stopped within an epoch it goes on to the bit; and with as many examples in a step it may be cut otherwise.
    Program(in_parts(size, parts, folder / (std::to_string(size) + "-stopped"), 7)).fit();
    Program resumed(in_parts(size, parts, folder / (std::to_string(size) + "-stopped")));
    resumed.trainer.resume(read_run(folder / (std::to_string(size) + "-stopped")));
    resumed.fit();
    CHECK(resumed.model.weight.value().values() == got);
    CHECK_NOTHROW(Program(in_parts(8, 1, {})).trainer.resume(read_run(run)));
    CHECK(fails([&] { Program(in_parts(8, 2, {})).trainer.resume(read_run(run)); },
                {"counts steps of 8 images", "a batch size of 8 and grad_accum_steps of 2"}));
  }
  CHECK(fails([] { Program({.grad_accum_steps = 0}); }, {"grad_accum_steps must be 1 or more, got 0"}));
  Program own({.grad_accum_steps = 2});
  CHECK(fails([&] { own.trainer.fit(own.data, [](const TensorDataset::Batch&, StepSize) { return 0.0; }); },
              {"grad_accum_steps is for a step that returns the loss"}));
}

TEST_CASE("trainer: stops after so many epochs that were no better than the best, also when it is resumed") {
  const TempFolder folder;
  const std::vector<double> losses{3, 2, 2.5, 2, 2.1, 1, 1, 1};
  CHECK(fit_seeing(losses, {}).size() == 8);
  CHECK(fit_seeing(losses, {.early_stopping = 4}).size() == 8);
  CHECK(fit_seeing(losses, {.early_stopping = 1}).size() == 3);
  CHECK(fit_seeing(losses, {.early_stopping = 3, .output_dir = folder / "run"}).size() == 5);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(fit_seeing({nan, 1, nan, nan, 0}, {.early_stopping = 2}).size() == 4);

  Program resumed({.epochs = 8, .batch_size = 37, .early_stopping = 3, .output_dir = folder / "run"});
  resumed.trainer.resume(read_run(folder / "run"));
  CHECK(resumed.fit([] { return Metrics{{"val_loss", 9.0}}; }).size() == 5);
  CHECK(fails([] { Program({.early_stopping = 1}).fit(); }, {"needs a validation that gives val_acc or val_loss"}));
}
