#include "optim/training/ema.h"

#include <doctest/doctest.h>

#include "data/sets/tensor_dataset.h"
#include "nn/layers.h"
#include "optim/adamw.h"
#include "optim/training/trainer.h"
#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

struct Small {
  Var weight = Var::parameter(Tensor::zeros({3, 5}));
  Tensor mean = Tensor::zeros({5});
  Count count;
  Var operator()(const Var& x) { return x; }
  void visit(auto&& v) { v("weight", weight), v("mean", mean), v("count", count); }
};

}  // namespace

TEST_CASE("golden: the moving average of a parameter and a buffer is timm's ModelEmaV3 with warm-up") {
  const Golden golden("training");
  for (const auto& [run, decay] : {std::pair("short", .6), std::pair("long", .999)}) {
    Small model;
    Ema ema(decay);
    const std::string prefix = std::string("ema/") + run + "/";
    for (Index step = 1; step <= 12; ++step) {
      model.weight.mutable_value().assign(golden.tensor("ema/weight")[step - 1]);
      model.mean = golden.tensor("ema/mean")[step - 1];
      model.count.n = step;
      ema.update(state_of(model), step);
      CHECK(ema.decay(step) == doctest::Approx(golden.doubles(prefix + "decay")[static_cast<std::size_t>(step - 1)]));
      CHECK(ema.tensors().size() == 2);
      const std::string at = prefix + std::to_string(step);
      if (!golden.has(at + "/weight")) continue;
      check_golden(at, ema.tensors().at("weight"), golden.tensor(at + "/weight"));
      check_golden(at, ema.tensors().at("mean"), golden.tensor(at + "/mean"));
    }
    const std::vector<real> own = model.weight.value().values();
    {
      const WithWeights averaged(state_of(model), ema.tensors());
      CHECK(model.weight.value().values() == ema.tensors().at("weight").values());
      CHECK(model.mean.values() == ema.tensors().at("mean").values());
      CHECK(model.count.n == 12);
    }
    CHECK(model.weight.value().values() == own);
    CHECK(model.mean.values() == golden.tensor("ema/mean")[11].values());
  }
  CHECK(fails([] { Ema(1); }, {"above 0 and below 1, got 1"}));
}

namespace {

// A program that learns a line, started anew; its loss and its step are its own.
struct Program {
  Rng rng{3};
  TensorDataset data;
  Linear model{4, 1, rng};
  AdamW adamw{named_parameters(model)};
  Trainer trainer;

  explicit Program(const fs::path& folder, double decay = .9, Index max_steps = 0)
      : data(Rng(1).normal({37, 4}), Rng(2).normal({37, 1})),
        trainer(model, adamw, rng,
                {.epochs = 4,
                 .batch_size = 8,
                 .max_steps = max_steps,
                 .schedule = {.lr = .05},
                 .ema_decay = decay,
                 .output_dir = folder,
                 .checkpoint_hist = 9}) {}
  double distance(const TensorDataset::Batch& b) {
    const Var d = model(b.x) - b.y;
    return mean(d * d).value().item();
  }
  std::vector<EpochMetrics> fit() {
    const auto loss = [&](const TensorDataset::Batch& b) {
      const Var d = model(b.x) - b.y;
      return mean(d * d);
    };
    return trainer.fit(data, loss, [&] { return Metrics{{"val_loss", distance(data.all())}}; });
  }
};

}  // namespace

TEST_CASE("trainer: averaged weights are validated and saved beside the raw ones, and resume to the bit") {
  const TempFolder folder;
  Program whole(folder / "whole"), plain(folder / "plain", 0);
  const auto epochs = whole.fit(), without = plain.fit();
  CHECK(whole.model.weight.value().values() == plain.model.weight.value().values());  // they only look on
  CHECK(!fs::exists(folder / "plain/ema.safetensors"));
  CHECK(names_of(epochs[0].metrics) == std::vector<std::string>{"val_loss", "val_loss_ema"});
  for (std::size_t i = 0; i < epochs.size(); ++i) CHECK(epochs[i]["val_loss"] == without[i]["val_loss"]);
  CHECK(epochs[3]["val_loss_ema"] != epochs[3]["val_loss"]);

  const NamedTensors ema = read_safetensors(folder / "whole/ema.safetensors").tensors;
  CHECK(ema.at("weight").values() == whole.trainer.averaged_weights().at("weight").values());
  {
    const WithWeights averaged(state_of(whole.model), ema);
    CHECK(whole.distance(whole.data.all()) == doctest::Approx(epochs[3]["val_loss_ema"]));
  }

  // The best epoch is the one whose averaged weights are, and best.safetensors has these.
  std::size_t best = 0;
  for (std::size_t i = 1; i < epochs.size(); ++i)
    if (epochs[i]["val_loss_ema"] < epochs[best]["val_loss_ema"]) best = i;
  const Checkpoint then = read_checkpoint(RunFolder(folder / "whole").checkpoint(epochs[best].step));
  CHECK(read_safetensors(folder / "whole/best.safetensors").tensors.at("weight").values() ==
        then.ema.at("weight").values());

  for (const Index stops_after : {0, 1, 5, 7}) {
    const fs::path run = folder / std::to_string(stops_after);
    if (stops_after > 0) Program(run, .9, stops_after).fit();
    Program resumed(run);
    if (stops_after > 0) resumed.trainer.resume(RunFolder(run).newest_checkpoint());
    resumed.fit();
    for (const char* file : {"losses.csv", "model.safetensors", "ema.safetensors", "best.safetensors"})
      CHECK_MESSAGE(content(run / file) == content(folder / "whole" / file), file);
  }
  CHECK(fails([&] { plain.trainer.resume(read_run(folder / "whole")); }, {"averages its weights, and goes on so"}));
  CHECK(fails([&] { whole.trainer.resume(read_run(folder / "plain")); }, {"has not averaged its weights"}));
  Checkpoint other = read_run(folder / "whole");
  other.ema.erase("bias");
  CHECK(fails([&] { whole.trainer.resume(other); }, {"are not those of this model"}));
}
