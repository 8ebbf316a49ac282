#include "optim/training/trainer.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "data/files/write_file.h"
#include "data/images/codec.h"
#include "data/sets/batches.h"
#include "nn/models/vit.h"
#include "optim/log/training_log.h"
#include "optim/sgd.h"
#include "optim/training/interrupt.h"
#include "tensor/backend.h"
#include "tensor/functions.h"
#include "tensor/storage.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

// Images that are bright in one half: four classes, easily learned.
ImageDataset halves(Index count, std::uint64_t seed) {
  Rng rng(seed);
  const Tensor noise = rng.uniform({count, 8, 8}, 0, 128);
  std::vector<std::uint8_t> images;
  Labels labels;
  for (Index i = 0; i < count; ++i) {
    labels.push_back(static_cast<int>(i % 4));
    for (Index y = 0; y < 8; ++y)
      for (Index x = 0; x < 8; ++x) {
        const bool bright[] = {x < 4, x >= 4, y < 4, y >= 4};
        images.push_back(
            static_cast<std::uint8_t>(noise[i][y].values()[static_cast<std::size_t>(x)] + (bright[i % 4] ? 127 : 0)));
      }
  }
  return {{count, 1, 8, 8}, images, labels, {"left", "right", "top", "bottom"}};
}

TrainAndTest halves() { return {halves(250, 1), halves(50, 2), "halves"}; }

ViTConfig small() {
  return {.img_size = 8,
          .patch_size = 4,
          .num_hiddens = 16,
          .mlp_num_hiddens = 32,
          .num_heads = 2,
          .num_blks = 1,
          .emb_dropout = real(0.1),
          .blk_dropout = real(0.1),
          .num_classes = 4};
}

// A loss that does something else at each step.
Loss with(const std::function<void()>& something) {
  return [=](const Var& logits, const Targets& y) {
    something();
    return CrossEntropy()(logits, y);
  };
}

// All weights after some steps of training with dropout.
std::vector<std::vector<real>> weights_after(Index steps, std::uint64_t seed) {
  const TrainAndTest data = halves();
  Rng rng(seed);
  ViT model(small(), rng);
  SGD sgd(named_parameters(model), {.momentum = real(0.9)});
  Trainer(model, sgd, CrossEntropy(), rng, {.epochs = 100, .batch_size = 16, .max_steps = steps}).fit(data);
  std::vector<std::vector<real>> all;
  for (const auto& [name, parameter] : named_parameters(model)) all.push_back(parameter.value().values());
  return all;
}

}  // namespace

TEST_CASE("trainer: learns, and writes what it saw") {
  const TempFolder folder;
  const TrainAndTest data = halves();
  Rng rng(3);
  ViT model(small(), rng);
  SGD sgd(named_parameters(model), {.momentum = real(0.9)});
  Trainer trainer(
      model, sgd, CrossEntropy(), rng,
      {.epochs = 20, .batch_size = 16, .schedule = {.lr = 0.02}, .output_dir = folder.path() / "new" / "run"});
  const std::vector<EpochMetrics> history = trainer.fit(data);
  REQUIRE(history.size() == 20);
  CHECK(history[0].step == 16);  // 250 = 15·16 + 10
  CHECK(history[19].step == 320);
  CHECK(history[0].train_loss > 0.5);
  CHECK(history[19].train_loss < 0.3);
  CHECK(history[19]["val_acc"] > 0.95);

  // What evaluate() says, counted by hand.
  eval(model);
  Index right = 0;
  double loss = 0;
  for (auto [X, y] : batches(data.test, 1)) {
    const Tensor logits = model(X).value();
    right += argmax(logits) == y[0];
    loss += cross_entropy(logits, y, 0).item() / 50;
  }
  CHECK(history[19]["val_acc"] == doctest::Approx(static_cast<double>(right) / 50));
  CHECK(history[19]["val_loss"] == doctest::Approx(loss).epsilon(1e-4));

  const std::string metrics = content(folder.path() / "new/run/metrics.csv");
  CHECK(metrics.starts_with("epoch,step,train_loss,val_loss,val_acc,lr,img_per_s,seconds\n1,16,"));
  CHECK(std::count(metrics.begin(), metrics.end(), '\n') == 21);
  const std::string losses = content(folder.path() / "new/run/losses.csv");
  CHECK(losses.starts_with("step,loss\n1,"));
  CHECK(std::count(losses.begin(), losses.end(), '\n') == 321);
  CHECK(std::distance(fs::directory_iterator(folder.path() / "new/run"), {}) ==
        9);  // with weights, checkpoints, curves, report, events
}

TEST_CASE("trainer: with mixup the loss has the probabilities of the mixed images, and without it labels") {
  const TrainAndTest data = halves();
  for (const bool mixes : {false, true}) {
    Rng rng(5);
    ViT model(small(), rng);
    SGD sgd(named_parameters(model));
    int steps = 0;
    const Loss loss = [&](const Var& logits, const Targets& targets) {
      ++steps;
      CHECK(std::holds_alternative<Tensor>(targets) == mixes);
      return CrossEntropy{real(0.1)}(logits, targets);
    };
    Trainer(model, sgd, loss, rng,
            {.epochs = 1, .batch_size = 16, .max_steps = 3, .augmentation = {.mixup = mixes ? 0.2 : 0}})
        .fit(data);
    CHECK(steps == 3);
  }
}

TEST_CASE("trainer: same seed, same threads, bit-identical weights after 30 steps") {
  const auto first = weights_after(30, 5);
  CHECK(first == weights_after(30, 5));
  CHECK(first != weights_after(30, 6));
  CHECK(first != weights_after(29, 5));
}

TEST_CASE("trainer: after two steps nothing more is asked from the system") {
  memory::release_cached();  // as in a new process
  const TrainAndTest data = halves();
  Rng rng(5);
  ViT model(small(), rng);
  SGD sgd(named_parameters(model), {.momentum = real(0.9)});
  std::vector<std::size_t> allocations;
  const auto note = [&] { allocations.push_back(memory::stats().system_allocations); };
  Trainer(model, sgd, with(note), rng, {.epochs = 1, .batch_size = 25}).fit(data);
  REQUIRE(allocations.size() == 10);
  CHECK(allocations[9] == allocations[2]);
}

TEST_CASE("trainer: dropout is on in every training step, also after a validation, and off in validation") {
  const TrainAndTest data = halves();
  Rng rng(5);
  ViT model(small(), rng);
  SGD sgd(named_parameters(model));
  eval(model);  // whatever mode it comes in
  int in_training = 0, steps = 0;
  const auto note = [&] {
    in_training += model.blks[0].mlp.dropout1.training.on;
    ++steps;
  };
  Trainer(model, sgd, with(note), rng, {.epochs = 2, .batch_size = 125}).fit(data);
  CHECK(steps == 4);
  CHECK(in_training == 4);
  CHECK(!model.blks[0].mlp.dropout1.training.on);
}

TEST_CASE("trainer: each step has the learning rate of the schedule over all epochs, also where max_steps ends them") {
  const TrainAndTest data = halves();
  const ScheduleOptions cosine{.sched = "cosine", .lr = 0.1, .warmup_epochs = 0.5};
  const Schedule schedule(cosine, 16, 48);
  Rng rng(5);
  ViT model(small(), rng);
  SGD sgd(named_parameters(model));
  Trainer trainer(model, sgd, CrossEntropy(), rng,
                  {.epochs = 3, .batch_size = 16, .max_steps = 40, .schedule = cosine});
  const auto history = trainer.fit(data);
  REQUIRE(history.size() == 3);
  for (const EpochMetrics& epoch : history) CHECK(epoch.lr == double{schedule(epoch.step - 1).lr});
}

TEST_CASE("trainer: clips the gradients, and finds where NaN comes from, if told so") {
  const TrainAndTest data = halves();
  const auto fit = [&](TrainerOptions options, const Loss& loss) {
    Rng rng(5);
    ViT model(small(), rng);
    SGD sgd(named_parameters(model));
    options.epochs = options.max_steps = 1;
    double moved = 0;
    std::vector<Tensor> before;
    for (const auto& [name, parameter] : sgd.parameters()) before.push_back(parameter.value().clone());
    Trainer(model, sgd, loss, rng, options).fit(data);
    for (std::size_t i = 0; i < before.size(); ++i)
      moved += std::pow(norm(sgd.parameters()[i].second.value() - before[i]), 2);
    return std::sqrt(moved);
  };
  CHECK(fit({.schedule = {.lr = 0.5}}, CrossEntropy()) > 0.1);
  CHECK(fit({.schedule = {.lr = 0.5}, .clip_grad = 0.01}, CrossEntropy()) ==
        doctest::Approx(0.005).epsilon(1e-3).scale(0));
  const auto bad = [](const Var& logits, const Targets&) { return mean(log(logits * real(0) - real(1))); };
  CHECK(fails([&] { fit({}, bad); }, {"the loss is ", "at step 1"}));
  CHECK(fails([&] { fit({.detect_anomaly = true}, bad); }, {"[detect_anomaly] log"}));
}

TEST_CASE("trainer: max_steps ends within an epoch, validates and writes") {
  const TempFolder folder;
  const TrainAndTest data = halves();
  Rng rng(5);
  ViT model(small(), rng);
  SGD sgd(named_parameters(model));
  Trainer trainer(model, sgd, CrossEntropy(), rng,
                  {.epochs = 3, .batch_size = 16, .max_steps = 20, .output_dir = folder.path()});
  const auto history = trainer.fit(data);
  REQUIRE(history.size() == 2);
  CHECK(history[1].step == 20);
  CHECK(history[1]["val_loss"] > 0);
}

TEST_CASE("trainer: Ctrl-C ends it after the step, with the losses so far") {
  const TempFolder folder;
  const TrainAndTest data = halves();
  Rng rng(5);
  ViT model(small(), rng);
  SGD sgd(named_parameters(model));
  int steps = 0;
  const auto stop = [&] {
    if (++steps == 20) std::raise(SIGINT);
  };
  Trainer trainer(model, sgd, with(stop), rng, {.epochs = 3, .batch_size = 16, .output_dir = folder.path()});
  const auto history = trainer.fit(data);
  CHECK(steps == 20);
  CHECK(history.size() == 1);
  CHECK(Interrupt::received() == SIGINT);
  CHECK(evaluate(model, data.test, 1).loss == doctest::Approx(evaluate(model, data.test, 50).loss));  // all of it
  const std::string losses = content(folder.path() / "losses.csv");
  CHECK(std::count(losses.begin(), losses.end(), '\n') == 21);
}

TEST_CASE("trainer: weights that the last step has made NaN are an error, and are not saved") {
  const TrainAndTest data = halves();
  const auto loss = [](const Var& logits, const Targets&) { return sqrt(mean(logits) * 0); };  // 0, its gradient NaN
  for (const bool saves : {false, true}) {
    const TempFolder folder;
    Rng rng(5);
    ViT model(small(), rng);
    SGD sgd(named_parameters(model));
    Trainer trainer(model, sgd, loss, rng,
                    {.epochs = 1, .batch_size = 1000, .output_dir = saves ? folder.path().string() : ""});
    const std::string error = error_of([&] { trainer.fit(data); });
    CHECK(contains(error, saves ? "after step 1 " : "nan after epoch 1"));  // or -nan
    CHECK(contains(error, "training has diverged"));
    for (const auto& file : std::filesystem::directory_iterator(folder.path()))
      CHECK(file.path().extension() != ".safetensors");
  }
}

namespace {
struct Masked {
  ViT model;
  Var mask;
  Var operator()(const Var& X) { return model(X); }
  void visit(auto&& v) { v("model", model), v("mask", mask); }
};
}  // namespace

TEST_CASE("trainer: a frozen weight may be infinite on purpose, such as a mask") {
  const TempFolder folder;
  Rng rng(5);
  Masked masked{ViT(small(), rng), Var::parameter(Tensor({2}, {0, -INFINITY}))};
  SGD sgd(named_parameters(masked));
  freeze(masked, "mask");
  Trainer trainer(masked, sgd, CrossEntropy(), rng,
                  {.epochs = 1, .batch_size = 16, .output_dir = folder.path().string()});
  CHECK(trainer.fit(halves()).size() == 1);
}

TEST_CASE("trainer: a loss that is not finite stops it and names the step") {
  const TempFolder folder;
  const TrainAndTest data = halves();
  for (const real bad : {real(NAN), real(INFINITY)}) {
    Rng rng(5);
    ViT model(small(), rng);
    SGD sgd(named_parameters(model));
    Index step = 0;
    const auto loss = [&](const Var& logits, const Targets&) { return mean(logits) * (++step == 18 ? bad : real(0)); };
    Trainer trainer(model, sgd, loss, rng, {.epochs = 3, .batch_size = 16});
    const std::string error = error_of([&] { trainer.fit(data); });
    CHECK(contains(error, "at step 18 in epoch 2"));
    CHECK(step == (on_gpu ? 19 : 18));  // a GPU has been given the next one by then
    CHECK(trainer.steps() == 18);

    step = 0;  // clipping sees it first, before any weight has changed
    ViT another(small(), rng);
    SGD its_sgd(named_parameters(another));
    Trainer clipping(another, its_sgd, loss, rng,
                     {.epochs = 3, .batch_size = 16, .clip_grad = 1, .output_dir = folder / std::to_string(bad)});
    CHECK(fails([&] { clipping.fit(data); }, {"clip_grad_norm"}));
    const std::string losses = content(folder / std::to_string(bad) / "losses.csv");
    CHECK(std::count(losses.begin(), losses.end(), '\n') == 1 + 17);
  }
}

TEST_CASE("trainer: a picture that cannot be read takes no step with it, and what is mended goes on to the bit") {
  const TempFolder folder;
  const auto path = [&](int i) { return folder / (std::to_string(i) + ".png"); };
  const ImageDataset source = halves(60, 1);
  const auto write = [&](int i) { write_png(path(i), source.image(i)); };
  std::vector<fs::path> files;
  for (int i = 0; i < 60; ++i) write(i), files.push_back(path(i));
  TrainAndTest data{ImageDataset(files, 1, source.labels, source.class_names), halves(20, 2), "pictures"};
  data.train.preprocess.size = 8;

  struct Run {
    Rng rng{5};
    ViT model{small(), rng};
    SGD sgd{named_parameters(model), {.momentum = real(0.9)}};
    std::vector<EpochMetrics> fit(const TrainAndTest& data, const fs::path& out, const Loss& loss,
                                  bool resumed = false) {
      Trainer trainer(model, sgd, loss, rng, {.epochs = 3, .batch_size = 8, .output_dir = out});
      if (resumed) trainer.resume(read_run(out));
      return trainer.fit(data);
    }
  };
  Run().fit(data, folder / "whole", CrossEntropy());
  // After these steps all that the run has not read yet is damaged: it ends there, or a step later.
  for (const int last : {1, 6, 8, 13}) {
    CAPTURE(last);
    const fs::path out = folder / ("run-" + std::to_string(last));
    int step = 0;
    const auto damage = [&] {
      if (++step == last)
        for (int i = 0; i < 60; ++i) write_file(path(i), "no picture");
    };
    CHECK(fails([&] { Run().fit(data, out, with(damage)); },
                {"[Trainer] \"", ".png\" is ", "the run is saved as it is after step "}));
    const Checkpoint saved = RunFolder(out).newest_checkpoint();
    CHECK(saved.progress.steps() == step);
    const std::string losses = content(out / "losses.csv");
    CHECK(std::count(losses.begin(), losses.end(), '\n') == step + 1);
    // It still cannot be read, and nothing is lost by trying.
    CHECK(fails([&] { Run().fit(data, out, CrossEntropy(), true); }, {"the run is saved as it is after step "}));
    CHECK(RunFolder(out).newest_checkpoint().progress.steps() == step);
    for (int i = 0; i < 60; ++i) write(i);
    Run().fit(data, out, CrossEntropy(), true);
    for (const char* file : {"losses.csv", "model.safetensors", "best.safetensors"})
      CHECK(content(out / file) == content(folder / "whole" / file));
  }
  // The first picture of all, and one to validate on.
  fs::remove(path(7));
  CHECK(fails([&] { Run().fit(data, folder / "first", CrossEntropy()); },
              {"7.png", "the run is saved as it is after step "}));
  CHECK(RunFolder(folder / "first").newest_checkpoint().progress.steps() < 8);
  write(7);
  TrainAndTest broken = data;
  broken.test = ImageDataset({path(1), folder / "none.png"}, 1, {0, 1}, source.class_names);
  broken.test.preprocess.size = 8;
  CHECK(fails([&] { Run().fit(broken, folder / "val", CrossEntropy()); },
              {"none.png", "the run is saved as it is after step 8,"}));
  for (const char* out : {"first", "val"}) {
    Run().fit(data, folder / out, CrossEntropy(), true);
    CHECK(content(folder / out / "model.safetensors") == content(folder / "whole/model.safetensors"));
  }
  // What comes after the last step is not needed.
  fs::remove(path(7));
  Rng rng(5);
  ViT model(small(), rng);
  SGD sgd(named_parameters(model));
  const auto remove_all = [&] {
    for (int i = 0; i < 60; ++i) fs::remove(path(i));
  };
  write(7);
  CHECK(Trainer(model, sgd, with(remove_all), rng, {.epochs = 1, .batch_size = 20, .max_steps = 1}).fit(data).size() ==
        1);
}

TEST_CASE("trainer: a run that is resumed with more images, or fewer, has as many epochs as before") {
  const auto resumed_with = [](Index count, Index stop, int epochs) {
    const TempFolder folder;
    const TrainerOptions options{
        .epochs = epochs, .batch_size = 8, .schedule = {.sched = "cosine", .lr = 0.1}, .output_dir = folder.path()};
    const auto fit = [&](TrainerOptions o, Index images, bool resumed) {
      Rng rng(5);
      ViT model(small(), rng);
      SGD sgd(named_parameters(model));
      Trainer trainer(model, sgd, CrossEntropy(), rng, std::move(o));
      if (resumed) trainer.resume(read_run(folder.path()));
      return trainer.fit({halves(images, 1), halves(8, 2), "halves"});
    };
    TrainerOptions stopped = options;
    stopped.max_steps = stop;
    fit(stopped, 40, false);  // 5 steps an epoch
    std::vector<Index> steps;
    for (const EpochMetrics& e : fit(options, count, true)) steps.push_back(e.step);
    return steps;
  };
  using Steps = std::vector<Index>;
  CHECK(resumed_with(40, 7, 3) == Steps{5, 10, 15});
  CHECK(resumed_with(30, 7, 3) == Steps{5, 9, 13});
  CHECK(resumed_with(50, 7, 3) == Steps{5, 12, 19});
  CHECK(resumed_with(50, 5, 3) == Steps{5, 12, 19});     // between two epochs
  CHECK(resumed_with(10, 9, 4) == Steps{5, 9, 11, 13});  // the epoch has had more than there are
  CHECK(resumed_with(10, 14, 3) == Steps{5, 10, 14});
  CHECK(resumed_with(16, 15, 3) == Steps{5, 10, 15});
}

TEST_CASE("trainer: settings and folders that cannot be") {
  const TempFolder folder;
  const TrainAndTest data = halves();
  Rng rng(5);
  ViT model(small(), rng);
  SGD sgd(named_parameters(model));
  const auto trainer = [&](const TrainerOptions& options) { return Trainer(model, sgd, CrossEntropy(), rng, options); };
  CHECK(fails([&] { trainer({.epochs = 0}); }, {"epochs must be 1 or more, got 0"}));
  CHECK(fails([&] { trainer({.batch_size = 0}); }, {"batch_size must be 1 or more"}));
  CHECK(fails([&] { trainer({.max_steps = -1}); }, {"max_steps must be 0 or more"}));
  CHECK(fails([&] { trainer({.clip_grad = NAN}); }, {"clip_grad must be 0 or more"}));
  CHECK(fails([&] { trainer({.schedule = {.lr = -1}}); }, {"lr must be 0 or more, got -1"}));
  CHECK(fails([&] { trainer({.augmentation = {.hflip = 2}}); }, {"hflip is a probability, from 0 to 1, got 2"}));
  CHECK(trainer({.epochs = 1, .batch_size = std::numeric_limits<Index>::max()}).fit(data).size() == 1);

  std::ofstream(folder.path() / "file") << "x";
  const auto fit_into = [&](const fs::path& path) {
    return error_of([&] { trainer({.epochs = 1, .max_steps = 1, .output_dir = path}).fit(data); });
  };
  CHECK(contains(fit_into(folder.path() / "file" / "run"), (folder.path() / "file" / "run").string()));
  CHECK(fit_into(folder.path() / "run") == "");
  const std::string before = content(folder.path() / "run/metrics.csv");
  CHECK(contains(fit_into(folder.path() / "run"), "another run"));
  CHECK(content(folder.path() / "run/metrics.csv") == before);
}

TEST_CASE("write_file: whole or not at all") {
  const TempFolder folder;
  const fs::path path = folder.path() / "file";
  write_file(path, "old");
  CHECK(content(path) == "old");
  CHECK(contains(error_of([&] { write_file(folder.path() / "no" / "file", "x"); }), "No such file or directory"));
  CHECK(contains(error_of([&] { write_file(folder.path(), "x"); }), folder.path().string()));

  // A disk that is full in the middle of the file: here, a limit on the size of files.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string error = error_of([&] { write_file(path, std::string(5000, 'x')); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(contains(error, path.string()));
  CHECK(content(path) == "old");
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);

  write_file(path, "new");
  CHECK(content(path) == "new");
}
