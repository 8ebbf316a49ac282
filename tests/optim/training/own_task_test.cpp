// What the library does not know: data sets, losses, optimizers and metrics of one's own in the Trainer, models with
// several optimizers, and parameters frozen by their names. A run that is killed and resumed is the run that never was.
#include <doctest/doctest.h>

#include <cmath>
#include <stdexcept>

#include "data/files/safetensors.h"
#include "data/sets/tensor_dataset.h"
#include "nn/layers.h"
#include "optim/adamw.h"
#include "optim/sgd.h"
#include "optim/training/trainer.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

Var square_error(const Var& prediction, const Tensor& y) {
  const Var d = prediction - y;
  return mean(d * d);
}

// y = 2·x0 - x1 + 0.5, with noise.
TensorDataset plane(Index count, std::uint64_t seed) {
  Rng rng(seed);
  const Tensor x = rng.normal({count, 2}), noise = rng.normal({count, 1});
  const Tensor y = slice(x, 1, 0, 1) * real(2) - slice(x, 1, 1, 2) + real(0.5) + noise * real(0.1);
  return {x, y};
}

// torch.optim.RMSprop, of which the library has none: a running mean of g², and nothing else.
struct RMSprop : Optimizer {
  explicit RMSprop(std::vector<NamedParameter> parameters)
      : Optimizer(std::move(parameters), decay_all, {"square_avg"}) {}
  const char* name() const override { return "rmsprop"; }

 private:
  void update(Tensor w, const Tensor& dW, Memory& memory, const StepSize& size) override {
    Tensor& v = memory.tensors[0];
    if (!v.defined()) v = Tensor::zeros(w.shape());
    v.assign(v * real(0.99) + dW * dW * real(0.01));
    w.assign(w - dW / (sqrt(v.clone()) + real(1e-8)) * size.lr);
  }
};

// Words of two letters; the second follows from the first.
struct Letters {
  struct Word {
    Labels letters, next;
  };
  Index count() const { return 40; }
  std::vector<Word> batch(const std::vector<Index>& which) const {  // of any type
    Word word;
    for (const Index i : which) {
      word.letters.push_back(static_cast<int>(i % 5));
      word.next.push_back(static_cast<int>((i % 5 + 2) % 5));
    }
    return {word};
  }
};

// It is not called with a Var.
struct LetterModel {
  Var table;  // (5, 5): the logits of what follows each letter
  Rng dice;

  explicit LetterModel(Rng& rng) : table(Var::parameter(rng.normal({5, 5}))), dice(rng.fork()) {}
  Var operator()(const Labels& letters) {
    std::vector<Var> rows;
    for (const int letter : letters) rows.push_back(slice(table, 0, letter, letter + 1));
    return concat(rows, 0);
  }
  void visit(auto&& v) { v("table", table), v("dice", dice); }
};

// A generator of numbers around 3, and what tells them apart.
struct Gan {
  Sequential<Linear, ReLU, Linear> generator, discriminator;
  Rng noise;

  explicit Gan(Rng& rng)
      : generator(Linear(2, 8, rng), ReLU(), Linear(8, 1, rng)),
        discriminator(Linear(1, 8, rng), ReLU(), Linear(8, 1, rng)),
        noise(rng.fork()) {}
  void visit(auto&& v) { v("generator", generator), v("discriminator", discriminator), v("noise", noise); }

  // Two losses on two tapes: softplus(±logit) is binary cross-entropy.
  real step(const Tensor& real_ones, Optimizer& g, Optimizer& d, StepSize size) {
    const Tensor z = noise.normal({real_ones.shape()[0], 2});
    {
      const Tensor made = generator(z).value();
      Tape tape;
      tape.backward(mean(softplus(-discriminator(real_ones))) + mean(softplus(discriminator(made))));
      d.step(size);
    }
    freeze(discriminator);
    Tape tape;
    const Var loss = mean(softplus(-discriminator(generator(z))));
    tape.backward(loss);
    g.step(size);
    freeze(discriminator, false);
    return loss.value().item();
  }
};

// Three programs, each of which dies in step `dies_in`, if there is one, and can be started anew. Seven steps an epoch.
struct Regression {
  static constexpr const char* name = "regression";
  TensorDataset data = plane(50, 1), test = plane(20, 2);
  Rng rng{5};
  Sequential<Linear, ReLU, Dropout, Linear> model{Linear(2, 16, rng), ReLU(), Dropout(real(0.1), rng),
                                                  Linear(16, 1, rng)};
  RMSprop optimizer{named_parameters(model)};
  Trainer trainer;

  explicit Regression(TrainerOptions o) : trainer(model, optimizer, rng, std::move(o)) {}
  auto fit(Index dies_in) {
    return trainer.fit(
        data,
        [&](const TensorDataset::Batch& b) {
          if (trainer.steps() + 1 == dies_in) throw std::runtime_error("killed");
          return square_error(model(b.x), b.y);
        },
        [&]() -> Metrics {
          const Tensor error = model(test.all().x).value() - test.all().y;
          return {{"val_loss", mean(error * error).item()}, {"mae", mean(sqrt(error * error)).item()}};
        });
  }
};

struct Characters {
  static constexpr const char* name = "characters";
  Letters data;
  Rng rng{5};
  LetterModel model{rng};
  AdamW optimizer{named_parameters(model)};
  Trainer trainer;

  explicit Characters(TrainerOptions o) : trainer(model, optimizer, rng, std::move(o)) {}
  auto fit(Index dies_in) {
    return trainer.fit(data, [&](const std::vector<Letters::Word>& words) {
      if (trainer.steps() + 1 == dies_in) throw std::runtime_error("killed");
      const Var logits = model(words[0].letters);
      return cross_entropy(logits + model.dice.normal(logits.shape()) * real(0.1), words[0].next);
    });
  }
};

struct Generation {
  static constexpr const char* name = "generation";
  TensorDataset data{Rng(1).normal({50, 1}) * real(0.5) + real(3), Tensor::zeros({50})};
  Rng rng{5};
  Gan gan{rng};
  AdamW g{named_parameters(gan.generator)}, d{named_parameters(gan.discriminator)};
  Trainer trainer;

  explicit Generation(TrainerOptions o) : trainer(gan, {g, d}, rng, without_clipping(std::move(o))) {}
  static TrainerOptions without_clipping(TrainerOptions o) { return o.clip_grad = 0, o; }
  auto fit(Index dies_in) {
    return trainer.fit(
        data,
        [&](const TensorDataset::Batch& b, StepSize size) {
          if (trainer.steps() + 1 == dies_in) throw std::runtime_error("killed");
          return gan.step(b.x, g, d, size);
        },
        [&]() -> Metrics {
          return {{"mean", mean(gan.generator(gan.noise.normal({100, 2})).value()).item()}};
        });
  }
};

TrainerOptions options(const fs::path& folder, int epochs = 3) {
  return {.epochs = epochs,
          .batch_size = 8,
          .schedule = {.sched = "cosine", .lr = 0.02},
          .clip_grad = 1,
          .output_dir = folder,
          .save_every = 3};
}

struct Backbone {
  Sequential<Linear, Linear> backbone;
  Linear head;
  explicit Backbone(Rng& rng) : backbone(Linear(2, 4, rng), Linear(4, 4, rng)), head(4, 1, rng) {}
  Var operator()(const Var& x) { return head(backbone(x)); }
  void visit(auto&& v) { v("backbone", backbone), v("head", head); }
};
// The backbone learns from step 8 on; whoever resumes does not say so again.
struct Unfreezing {
  Rng rng{3};
  Backbone model{rng};
  AdamW adamw{named_parameters(model), {.weight_decay = real(0.1)}};
  Trainer trainer;
  Unfreezing(const fs::path& folder, Index max_steps)
      : trainer(
            model, adamw, rng,
            {.epochs = 4, .batch_size = 8, .max_steps = max_steps, .schedule = {.lr = 0.01}, .output_dir = folder}) {
    freeze(model, "backbone.*");
  }
  void fit(const TensorDataset& data) {
    trainer.fit(data, [&](const TensorDataset::Batch& b) {
      if (trainer.steps() == 8) freeze(model, "backbone.*", false);
      return square_error(model(b.x), b.y);
    });
  }
};
template <class Program>
void check_resumes() {
  const TempFolder folder;
  CAPTURE(Program::name);
  Program whole(options(folder / "whole"));
  whole.fit(0);
  const Index steps = whole.trainer.steps();
  for (const Index dies_in : {Index{2}, steps / 3 + 1, steps / 3 + 5, steps}) {
    CAPTURE(dies_in);
    const fs::path run = folder / std::to_string(dies_in);
    Program killed(options(run));
    CHECK_THROWS(killed.fit(dies_in));
    Program resumed(options(run));
    if (dies_in == 2) {  // there is no checkpoint yet
      fs::remove_all(run);
    } else {
      resumed.trainer.resume(RunFolder(run).newest_checkpoint());
      CHECK(resumed.trainer.steps() > 0);
    }
    resumed.fit(0);
    for (const char* file : {"losses.csv", "model.safetensors"})
      CHECK_MESSAGE(content(run / file) == content(folder / "whole" / file), file);
    const auto a = read_metrics(run / "metrics.csv"), b = read_metrics(folder / "whole/metrics.csv");
    REQUIRE(a.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) CHECK(a[i].metrics == b[i].metrics);
  }
}

}  // namespace

TEST_CASE("own task: regression with an optimizer and metrics of one's own") {
  const TempFolder folder;
  Regression run(options(folder / "run", 30));
  const std::vector<EpochMetrics> history = run.fit(0);
  REQUIRE(history.size() == 30);
  CHECK(history[29]["val_loss"] < 0.03);  // of which the noise is 0.01
  CHECK(history[0]["val_loss"] > 0.2);
  CHECK(history[29]["mae"] < history[0]["mae"]);
  CHECK(fails([&] { history[0]["val_acc"]; }, {"no metric \"val_acc\"", "val_loss,mae"}));

  CHECK(
      content(folder / "run/metrics.csv").starts_with("epoch,step,train_loss,val_loss,mae,lr,img_per_s,seconds\n1,7,"));
  const std::vector<EpochMetrics> read = read_metrics(folder / "run/metrics.csv");
  REQUIRE(read.size() == 30);
  CHECK(read[7]["mae"] == doctest::Approx(history[7]["mae"]).epsilon(1e-5));
  const Checkpoint c = read_run(folder / "run");
  CHECK(c.progress.epochs == history);  // to the bit
  CHECK(c.optimizer == "rmsprop");
  CHECK(c.optimizer_state.contains("square_avg.0.weight"));

  // best.safetensors is that of the lowest val_loss.
  std::size_t best = 0;
  for (std::size_t i = 0; i < 30; ++i)
    if (history[i]["val_loss"] < history[best]["val_loss"]) best = i;
  state_of(run.model).load(read_safetensors(folder / "run/best.safetensors").tensors);
  eval(run.model);
  const Tensor error = run.model(run.test.all().x).value() - run.test.all().y;
  CHECK(mean(error * error).item() == doctest::Approx(history[best]["val_loss"]).epsilon(1e-5));
}

TEST_CASE("own task: a model of letters, with batches that are no tensors and without a validation") {
  const TempFolder folder;
  Characters run(options(folder / "run", 40));
  const std::vector<EpochMetrics> history = run.fit(0);
  CHECK(history[39].train_loss < history[0].train_loss / 2);
  CHECK(history[39].step == 200);
  CHECK(history[39].metrics.empty());
  CHECK(content(folder / "run/metrics.csv").starts_with("epoch,step,train_loss,lr,img_per_s,seconds\n1,5,"));
  CHECK(read_metrics(folder / "run/metrics.csv").size() == 40);
  CHECK(!fs::exists(folder / "run/best.safetensors"));
  CHECK(fs::exists(folder / "run/curves.svg"));
}

TEST_CASE("own task: a GAN, two losses on two tapes with two optimizers") {
  const TempFolder folder;
  Generation run(options(folder / "run", 60));
  const std::vector<EpochMetrics> history = run.fit(0);
  CHECK(std::abs(history[59]["mean"] - 3) < 1);
  CHECK(std::abs(history[0]["mean"] - 3) > 2);
  const Checkpoint c = read_run(folder / "run");
  CHECK(c.optimizer == "adamw, adamw");
  CHECK(c.optimizer_state.contains("0.exp_avg.0.weight"));
  CHECK(c.optimizer_state.contains("1.step.2.bias"));
  CHECK(c.optimizer_state.at("0.exp_avg.0.weight").shape() == Shape{8, 2});
  CHECK(c.parameters.contains("discriminator.0.weight"));
  CHECK(c.streams.contains("noise"));
  CHECK(!c.frozen);  // between steps nothing is

  Checkpoint odd = c;
  odd.optimizer_state.emplace("2.exp_avg.0.weight", Tensor::zeros({8, 2}));
  Generation other(options(folder / "other"));
  const auto before = other.gan.generator(Tensor::ones({1, 2})).value().item();
  CHECK(fails([&] { other.trainer.resume(odd); }, {"1 more than 2 optimizers"}));
  CHECK(other.gan.generator(Tensor::ones({1, 2})).value().item() == before);
  Rng rng(1);
  CHECK(fails([&] { Trainer(other.gan, {other.g, other.g}, rng, {}); }, {"two have the same parameter, 0.weight"}));
}

TEST_CASE("own task: killed within an epoch or between two, it goes on to the bit") {
  check_resumes<Regression>();
  check_resumes<Characters>();
  check_resumes<Generation>();
}

TEST_CASE("own task: a body and a head with optimizers of their own learn from one loss") {
  const TensorDataset data = plane(64, 3);
  Rng rng(1);
  Sequential model{Linear(2, 8, rng), ReLU(), Linear(8, 1, rng)};
  auto& [body, relu, head] = model.layers;
  SGD sgd(named_parameters(body), {.momentum = real(0.9)});
  AdamW adamw(named_parameters(head));
  Trainer trainer(model, {sgd, adamw}, rng, {.epochs = 20, .batch_size = 16, .schedule = {.lr = 0.01}});
  const auto history = trainer.fit(data, [&](const auto& b) { return square_error(model(b.x), b.y); });
  CHECK(history[19].train_loss < 0.2 * history[0].train_loss);
}

TEST_CASE("own task: images without labels, and with augmentation") {
  const ImageDataset images{{20, 1, 2, 2}, std::vector<std::uint8_t>(80, 100), Labels(20, 0), {"a"}};
  Rng rng(1);
  Sequential model{Flatten(), Linear(4, 2, rng), Linear(2, 4, rng)};
  SGD sgd(named_parameters(model));
  Trainer trainer(model, sgd, rng,
                  {.epochs = 20, .batch_size = 8, .schedule = {.lr = 0.1}, .augmentation = {.hflip = 0.5}});
  const auto history = trainer.fit(images, [&](const Batch& b) {
    return square_error(model(b.images), b.images.reshape({b.images.shape()[0], 4}));
  });
  CHECK(history[19].train_loss < 0.1 * history[0].train_loss);
}

TEST_CASE("own task: batches of a data set of one's own are all examples once, in an order that is drawn") {
  const TensorDataset data{Tensor({5, 1}, {0, 1, 2, 3, 4}), Tensor::zeros({5})};
  const auto numbers = [](const auto& all) {
    std::vector<real> seen;
    for (const auto& [x, y] : all)
      for (const real number : x.values()) seen.push_back(number);
    return seen;
  };
  CHECK(numbers(batches(data, 2)) == std::vector<real>{0, 1, 2, 3, 4});
  CHECK(batches(data, 2).size() == 3);
  CHECK(batches(data, 2)[2].x.shape() == Shape{1, 1});
  CHECK(batches(data, 5).size() == 1);
  Rng a(7), b(7);
  const auto all = batches(data, 2, a);
  std::vector<real> drawn = numbers(all), rest = numbers(all.from(1));
  CHECK(rest == std::vector<real>(drawn.begin() + 2, drawn.end()));
  CHECK(numbers(batches(data, 2, b)) == drawn);
  std::sort(drawn.begin(), drawn.end());
  CHECK(drawn == std::vector<real>{0, 1, 2, 3, 4});
  CHECK(numbers(all.from(3)).empty());
  CHECK(fails([&] { all.from(4); }, {"after batch 4 of 3"}));
  CHECK(fails([&] { all[3]; }, {"no batch 3 of 3"}));
  CHECK(fails([&] { batches(data, 0); }, {"batch size must be 1 or more, got 0"}));
  CHECK(fails([&] { TensorDataset(Tensor::zeros({3, 2}), Tensor::zeros({2})); }, {"(3, 2)", "(2)"}));
}

TEST_CASE("own task: mistakes are sentences") {
  const TensorDataset data = plane(8, 1);
  Rng rng(1);
  Linear model(2, 1, rng);
  SGD sgd(named_parameters(model));
  const auto loss = [&](const TensorDataset::Batch& b) { return square_error(model(b.x), b.y); };
  const auto fit = [&](TrainerOptions o, const auto& step, const std::function<Metrics()>& validate = {}) {
    o.epochs = 2;
    return error_of([&] { Trainer(model, sgd, rng, std::move(o)).fit(data, step, validate); });
  };
  CHECK(fit({}, loss).empty());
  CHECK(contains(fit({.augmentation = {.hflip = 1}}, loss), "augmentation varies images, and the data set has none"));
  CHECK(contains(fit({.clip_grad = 1}, [&](const auto& b, StepSize) { return loss(b).value().item(); }),
                 "calls clip_grad_norm() itself"));
  CHECK(contains(fit({}, [](const auto&, StepSize) { return NAN; }), "the loss is nan at step 1"));
  CHECK(contains(fit({}, loss, [] { return Metrics{{"a,b", 1}}; }), "\"a,b\"; a name has letters"));
  CHECK(contains(fit({}, loss, [] { return Metrics{{"", 1}}; }), "one is called \"\""));
  CHECK(contains(fit({}, loss, [] { return Metrics{{"lr", 1}}; }), "two columns would be called lr"));
  CHECK(contains(fit({}, loss, [] { return Metrics{{"f1", 1}, {"f1", 2}}; }), "two columns would be called f1"));
  int times = 0;
  const auto others = [&] { return times++ ? Metrics{{"f2", 1}} : Metrics{{"f1", 1}}; };
  CHECK(contains(fit({}, loss, others), "other metrics than before"));

  Trainer without_loss(model, sgd, rng, {});
  const ImageDataset images{{1, 1, 1, 2}, {0, 0}, {0}, {"a"}};
  CHECK(fails([&] { without_loss.fit(TrainAndTest{images, images, ""}); }, {"was made without a loss"}));
  const struct {
    Index count() const { return 0; }
    TensorDataset::Batch batch(const std::vector<Index>&) const { return {}; }
  } none;
  CHECK(fails([&] { without_loss.fit(none, loss); }, {"the training set has no examples"}));
}

TEST_CASE("own task: the validation is in evaluation mode, and a Dropout that it does not reach is found") {
  const TensorDataset data = plane(8, 1);
  Rng rng(1);
  Sequential model{Linear(2, 4, rng), Dropout(real(0.5), rng), Linear(4, 1, rng)};
  Dropout forgotten(real(0.5), rng);
  SGD sgd(named_parameters(model));
  const auto loss = [&](const TensorDataset::Batch& b) { return square_error(model(b.x), b.y); };
  Trainer trainer(model, sgd, rng, {.epochs = 1});
  trainer.fit(data, loss, [&] {
    CHECK(model(data.all().x).value().values() == model(data.all().x).value().values());
    return Metrics{};
  });
  CHECK(fails([&] { trainer.fit(data, loss, [&] { return forgotten(data.all().x), Metrics{}; }); },
              {"Dropout", "visit()"}));
}

TEST_CASE("own task: parameters frozen by their names stay as they are, also when the run is resumed") {
  const TensorDataset data = plane(40, 1);
  const auto frozen_of = [](Backbone& model) {
    std::vector<std::string> names;
    for (const auto& [name, parameter] : named_parameters(model))
      if (!parameter.requires_grad()) names.push_back(name);
    return names;
  };
  Rng rng(1);
  Backbone model(rng);
  freeze(model, "backbone.*");
  CHECK(frozen_of(model) ==
        std::vector<std::string>{"backbone.0.weight", "backbone.0.bias", "backbone.1.weight", "backbone.1.bias"});
  freeze(model, "backbone.1.*", false);
  freeze(model, "*.bias");
  CHECK(frozen_of(model) ==
        std::vector<std::string>{"backbone.0.weight", "backbone.0.bias", "backbone.1.bias", "head.bias"});
  freeze(model, false);
  CHECK(frozen_of(model).empty());
  CHECK(fails([&] { freeze(model, "backbon.*"); }, {"no parameter is called \"backbon.*\"", "backbone.0.weight"}));
  freeze(model, "head.weight");
  CHECK(frozen_of(model) == std::vector<std::string>{"head.weight"});  // "weight" alone would not be the whole name

  const TempFolder folder;
  Unfreezing whole(folder / "whole", 0);
  const auto at_first = whole.model.backbone(Tensor::ones({1, 2})).value().values();
  whole.fit(data);
  for (const Index stop : {4, 12}) {
    CAPTURE(stop);
    const fs::path run = folder / std::to_string(stop);
    Unfreezing first(run, stop);
    first.fit(data);
    CHECK((first.model.backbone(Tensor::ones({1, 2})).value().values() == at_first) == (stop == 4));
    const Checkpoint c = read_run(run);
    REQUIRE(c.frozen);
    CHECK(c.frozen->size() == (stop == 4 ? 4 : 0));
    Unfreezing second(run, 0);
    second.trainer.resume(c);
    second.fit(data);
    for (const char* file : {"losses.csv", "model.safetensors"})
      CHECK_MESSAGE(content(run / file) == content(folder / "whole" / file), file);
  }
}
