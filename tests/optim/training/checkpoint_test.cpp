#include "optim/training/checkpoint.h"

#include <doctest/doctest.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "nn/models/vit.h"
#include "optim/training/trainer.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

// Noise in three classes: something to train on.
ImageDataset noise(Index count, std::uint64_t seed) {
  const Tensor pixels = Rng(seed).uniform({count * 64}, 0, 255);
  std::vector<std::uint8_t> bytes;
  Labels labels;
  for (const real pixel : pixels.values()) bytes.push_back(static_cast<std::uint8_t>(pixel));
  for (Index i = 0; i < count; ++i) labels.push_back(static_cast<int>(i % 3));
  return {{count, 1, 8, 8}, bytes, labels, {"a", "b", "c"}};
}

// A training run, made anew as a new process makes it.
struct Run {
  TrainAndTest data{noise(50, 1), noise(10, 2), "noise"};  // seven steps an epoch, the last of two images
  Rng rng{5};
  ViT model{{.img_size = 8,
             .patch_size = 4,
             .num_hiddens = 8,
             .mlp_num_hiddens = 16,
             .num_heads = 2,
             .num_blks = 2,
             .emb_dropout = real(0.1),
             .blk_dropout = real(0.1),
             .num_classes = 3},
            rng};
  SGD sgd{parameters(model), {.lr = real(0.05), .momentum = real(0.9)}};
  Trainer trainer;

  explicit Run(TrainerOptions options) : trainer(sgd, rng, std::move(options)) {}

  std::map<std::string, std::vector<real>> weights() {
    std::map<std::string, std::vector<real>> all;
    for (const auto& [name, parameter] : named_parameters(model)) all[name] = parameter.value().values();
    return all;
  }
};

TrainerOptions options(const fs::path& folder, Index max_steps) {
  return {.max_epochs = 4, .batch_size = 8, .max_steps = max_steps, .output_dir = folder};
}

// The columns that do not tell of time.
std::string without_times(const fs::path& metrics) {
  std::string text;
  for (const EpochMetrics& e : read_metrics(metrics))
    text += std::to_string(e.epoch) + " " + std::to_string(e.step) + " " + std::to_string(e.train_loss) + " " +
            std::to_string(e.val_loss) + " " + std::to_string(e.val_acc) + "\n";
  return text;
}

}  // namespace

TEST_CASE("checkpoint: k steps, stop, resume and N - k steps are N steps, bit for bit") {
  const TempFolder folder;
  Run whole(options(folder / "whole", 0));
  whole.trainer.fit(whole.model, whole.data);
  for (const Index stop : {1, 6, 7, 8, 13, 14, 27}) {
    CAPTURE(stop);
    const fs::path stopped = folder / ("stopped" + std::to_string(stop));
    Run first(options(stopped, stop));
    first.trainer.fit(first.model, first.data);
    CHECK(first.weights() != whole.weights());

    Run second(options(stopped, 0));
    second.trainer.resume(second.model, CheckpointFolder(stopped).read_newest());
    CHECK(second.trainer.steps() == stop);
    second.trainer.fit(second.model, second.data);
    CHECK(second.weights() == whole.weights());
    CHECK(content(stopped / "losses.csv") == content(folder / "whole" / "losses.csv"));
    CHECK(without_times(stopped / "metrics.csv") == without_times(folder / "whole" / "metrics.csv"));
    for (const char* file : {"model.safetensors", "best.safetensors"})
      CHECK(content(stopped / file) == content(folder / "whole" / file));
  }
}

TEST_CASE("checkpoint: Ctrl-C at any step, and in validation, loses nothing") {
  const TempFolder folder;
  Run whole(options(folder / "whole", 0));
  whole.trainer.fit(whole.model, whole.data);
  const fs::path run = folder / "run";
  int resumed = 0;
  for (Index done = 0; done < 28;) {
    Run now(options(run, 0));
    if (done > 0) now.trainer.resume(now.model, CheckpointFolder(run).read_newest());
    REQUIRE(now.trainer.steps() == done);
    ++resumed;
    now.trainer.fit(now.model, now.data, [&](const Tensor& X, const Labels& y) {
      const real loss = training_step(now.model, now.sgd, X, y);
      if (++done % 3 == 0 || done % 7 == 0) std::raise(resumed % 2 == 0 ? SIGINT : SIGTERM);
      return loss;
    });
    if (done == 28) {
      Run last(options(run, 0));
      last.trainer.resume(last.model, CheckpointFolder(run).read_newest());
      last.trainer.fit(last.model, last.data);  // the validation that was interrupted
      CHECK(last.weights() == whole.weights());
    }
  }
  CHECK(resumed > 10);
  CHECK(without_times(run / "metrics.csv") == without_times(folder / "whole" / "metrics.csv"));
  CHECK(content(run / "losses.csv") == content(folder / "whole" / "losses.csv"));
}

TEST_CASE("checkpoint: a run that was stopped before its first step goes on; one with another batch size does not") {
  const TempFolder folder;
  Run run(options(folder.path(), 1));
  run.trainer.fit(run.model, run.data);
  Checkpoint c = CheckpointFolder(folder.path()).read_newest();
  c.progress = {.epochs = {}, .losses = {}, .in_epoch = true};
  Run again(options(folder.path(), 2));
  again.trainer.resume(again.model, c);
  CHECK(again.trainer.steps() == 0);
  again.trainer.fit(again.model, again.data);
  CHECK(CheckpointFolder(folder.path()).read_newest().progress.steps() == 2);

  TrainerOptions other = options(folder.path(), 4);
  other.batch_size = 4;
  Run smaller(other);
  CHECK(fails([&] { smaller.trainer.resume(smaller.model, c); }, {"steps of 8 images", "batch size of 4"}));
}

TEST_CASE("checkpoint: the newest few stay, and save_every makes some within an epoch") {
  const TempFolder folder;
  TrainerOptions every_three = options(folder.path(), 20);
  every_three.save_every = 3;
  every_three.keep_last = 4;
  Run run(every_three);
  run.trainer.fit(run.model, run.data);
  for (const char* step : {"00000014", "00000015", "00000018", "00000020"})
    CHECK(fs::exists(folder / (std::string("checkpoint-") + step + ".safetensors")));
  // Besides: two csv files, the curves, the events, the model, the best, and nothing half written.
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 10);
}

TEST_CASE("checkpoint: what a killed run left half written goes with the next") {
  const TempFolder folder;
  for (const char* name : {"checkpoint-00000002.safetensors.tmp", "checkpoint-00000099.safetensors.tmp",
                           "checkpoint-mine.safetensors.tmp", "checkpoint-00000002.safetensors.old"})
    std::ofstream(folder / name) << "x";
  Run run(options(folder.path(), 3));
  run.trainer.fit(run.model, run.data);
  CHECK(!fs::exists(folder / "checkpoint-00000002.safetensors.tmp"));
  CHECK(!fs::exists(folder / "checkpoint-00000099.safetensors.tmp"));
  CHECK(fs::exists(folder / "checkpoint-mine.safetensors.tmp"));  // not ours
  CHECK(fs::exists(folder / "checkpoint-00000002.safetensors.old"));
}

TEST_CASE("checkpoint: going on from an earlier one gives the later ones up") {
  const TempFolder folder;
  TrainerOptions every_step = options(folder.path(), 12);
  every_step.save_every = 1;
  every_step.keep_last = 9;
  Run run(every_step);
  run.trainer.fit(run.model, run.data);
  every_step.max_steps = 8;
  Run again(every_step);
  again.trainer.resume(again.model, read_checkpoint(folder / "checkpoint-00000005.safetensors"));
  again.trainer.fit(again.model, again.data);
  CHECK(CheckpointFolder(folder.path()).read_newest().progress.steps() == 8);
  CHECK(!fs::exists(folder / "checkpoint-00000012.safetensors"));
}

TEST_CASE("checkpoint: a damaged one is named, and the one before is read") {
  const TempFolder folder;
  CHECK(fails([&] { CheckpointFolder(folder.path()).read_newest(); }, {"holds no checkpoint", folder.path().string()}));
  CHECK(fails([&] { CheckpointFolder(folder / "no").read_newest(); }, {"cannot be read", (folder / "no").string()}));
  Run run(options(folder.path(), 14));
  run.trainer.fit(run.model, run.data);
  const fs::path newest = folder / "checkpoint-00000014.safetensors",
                 before = folder / "checkpoint-00000007.safetensors";
  const std::string whole = content(newest);
  std::ofstream(newest, std::ios::binary) << whole.substr(0, whole.size() - 1);
  CHECK(CheckpointFolder(folder.path()).read_newest().progress.steps() == 7);
  std::ofstream(before, std::ios::binary) << "";
  CHECK(fails([&] { CheckpointFolder(folder.path()).read_newest(); }, {before.string()}));
}

TEST_CASE("checkpoint: every number survives, also those that JSON does not know") {
  const TempFolder folder;
  constexpr double inf = std::numeric_limits<double>::infinity();
  Checkpoint c;
  c.parameters = {{"w", Tensor({2}, {real(0.1), real(-0.0)})}};
  c.velocities = {{"w", Tensor({2}, {real(1e-30), 3})}};
  c.optimizer = {.lr = real(0.1), .momentum = real(0.9), .weight_decay = real(1e-5), .nesterov = true};
  c.streams = {{"", Rng(Draw{~0ull, 1ull << 63})}, {"blks.0.dropout", Rng(7)}};
  c.progress.epochs = {{1, 469, 0.1 + 0.2, inf, std::nan(""), 0.1, 1e-300, -inf}};
  c.progress.losses = {1.5, static_cast<double>(real(0.1))};
  c.progress.in_epoch = true;
  c.progress.first_step = 1;
  c.progress.images = 128;
  c.progress.loss_sum = 1.0 / 3;
  c.notes = {{"config", "{\"a\": \"\xc3\xa4\"}\n"}};
  write_checkpoint(folder / "x", c);
  const Checkpoint d = read_checkpoint(folder / "x");
  CHECK(d.parameters.at("w").values() == c.parameters.at("w").values());
  CHECK(std::signbit(d.parameters.at("w").values()[1]));
  CHECK(d.velocities.at("w").values() == c.velocities.at("w").values());
  CHECK(d.optimizer.lr == c.optimizer.lr);
  CHECK(d.optimizer.weight_decay == c.optimizer.weight_decay);
  CHECK(d.optimizer.nesterov);
  CHECK(d.streams.at("").peek().key == ~0ull);
  CHECK(d.streams.at("").peek().number == 1ull << 63);
  CHECK(d.streams.at("blks.0.dropout").peek().key == 7);
  REQUIRE(d.progress.epochs.size() == 1);
  CHECK(d.progress.epochs[0].train_loss == 0.1 + 0.2);
  CHECK(d.progress.epochs[0].val_loss == inf);
  CHECK(std::isnan(d.progress.epochs[0].val_acc));
  CHECK(d.progress.epochs[0].img_per_s == 1e-300);
  CHECK(d.progress.epochs[0].seconds == -inf);
  CHECK(d.progress.losses == c.progress.losses);
  CHECK(d.progress.in_epoch);
  CHECK(d.progress.loss_sum == 1.0 / 3);
  CHECK(d.notes == c.notes);
}

TEST_CASE("checkpoint: what is none, or lies, is refused with its name") {
  const TempFolder folder;
  const fs::path path = folder / "x.safetensors";
  const auto refused = [&](const std::string& training, const std::string& says) {
    write_safetensors(path, {{"losses", Tensor({2}, {1, 2})}}, {{"training", training}});
    return fails([&] { read_checkpoint(path); }, {path.string(), says});
  };
  write_safetensors(path, {{"w", Tensor({1}, {1})}});
  CHECK(fails([&] { read_checkpoint(path); }, {path.string(), "is no checkpoint"}));
  CHECK(refused("", "cannot be read"));
  CHECK(refused("[]", "cannot be read"));
  CHECK(refused("{}", "optimizer"));
  CHECK(refused(std::string(1'000'000, '['), "nested more than 32 deep"));
  CHECK(refused("{\"optimizer\":" + std::string(1'000'000, '['), "nested more than 32 deep"));

  write_checkpoint(path, {.parameters = {},
                          .velocities = {},
                          .optimizer = {},
                          .streams = {{"", Rng(1)}},
                          .progress = {.epochs = {{}}, .losses = {1, 2}},
                          .notes = {}});
  const nlohmann::json good = nlohmann::json::parse(read_safetensors(path).metadata.at("training"));
  CHECK(!refused(good.dump(), ""));
  const nlohmann::json flat = good.flatten();
  for (const auto& entry : flat.items())
    for (const nlohmann::json& bad :
         {nlohmann::json("x"), nlohmann::json(), nlohmann::json(-1), nlohmann::json::array()}) {
      CAPTURE(entry.key());
      CAPTURE(bad.dump());
      nlohmann::json lie = good;
      lie[nlohmann::json::json_pointer(entry.key())] = bad;
      const bool harmless = bad == -1 && entry.value().is_number_float();  // -1 is a number like any other there
      if (!harmless) CHECK(refused(lie.dump(), "damaged"));
    }
  nlohmann::json lie = good;
  lie["progress"]["first_step"] = 3;
  CHECK(refused(lie.dump(), "after step 3 of 2"));
}

TEST_CASE("checkpoint: one of another model changes nothing") {
  const TempFolder folder;
  Run run(options(folder.path(), 3));
  run.trainer.fit(run.model, run.data);
  Checkpoint other = CheckpointFolder(folder.path()).read_newest();
  Run fresh(options(folder / "new", 3));
  const auto before = fresh.weights();
  other.parameters.erase("head.1.bias");
  CHECK(fails([&] { fresh.trainer.resume(fresh.model, other); }, {"head.1.bias"}));
  other = CheckpointFolder(folder.path()).read_newest();
  other.streams.erase("blks.1.mlp.dropout2.rng");
  CHECK(fails([&] { fresh.trainer.resume(fresh.model, other); }, {"blks.1.mlp.dropout2.rng"}));
  other = CheckpointFolder(folder.path()).read_newest();
  other.velocities["cls_token"] = Tensor({1}, {1});
  CHECK(fails([&] { fresh.trainer.resume(fresh.model, other); }, {"(1)", "(1, 1, 8)"}));
  CHECK(fresh.weights() == before);
  CHECK(fresh.trainer.steps() == 0);
}
