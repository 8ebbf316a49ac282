#include "optim/training/checkpoint.h"

#include <doctest/doctest.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/files/write_file.h"
#include "nn/models/vit.h"
#include "optim/sgd.h"
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
  SGD sgd{named_parameters(model), {.momentum = real(0.9)}};
  Trainer trainer;

  explicit Run(TrainerOptions options, Loss loss = CrossEntropy())
      : trainer(model, sgd, std::move(loss), rng, std::move(options)) {}

  std::map<std::string, std::vector<real>> weights() {
    std::map<std::string, std::vector<real>> all;
    for (const auto& [name, parameter] : named_parameters(model)) all[name] = parameter.value().values();
    return all;
  }
};

TrainerOptions options(const fs::path& folder, Index max_steps) {
  return {.epochs = 4, .batch_size = 8, .max_steps = max_steps, .schedule = {.lr = 0.05}, .output_dir = folder};
}

// The columns that do not tell of time.
std::string without_times(const fs::path& metrics) {
  std::string text;
  for (const EpochMetrics& e : read_metrics(metrics))
    text += std::to_string(e.epoch) + " " + std::to_string(e.step) + " " + std::to_string(e.train_loss) + " " +
            std::to_string(e["val_loss"]) + " " + std::to_string(e["val_acc"]) + "\n";
  return text;
}

}  // namespace

TEST_CASE("checkpoint: k steps, stop, resume and N - k steps are N steps, bit for bit") {
  const TempFolder folder;
  Run whole(options(folder / "whole", 0));
  whole.trainer.fit(whole.data);
  for (const Index stop : {1, 6, 7, 8, 13, 14, 27}) {
    CAPTURE(stop);
    const fs::path stopped = folder / ("stopped" + std::to_string(stop));
    Run first(options(stopped, stop));
    first.trainer.fit(first.data);
    CHECK(first.weights() != whole.weights());

    Run second(options(stopped, 0));
    second.trainer.resume(RunFolder(stopped).newest_checkpoint());
    CHECK(second.trainer.steps() == stop);
    second.trainer.fit(second.data);
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
  whole.trainer.fit(whole.data);
  const fs::path run = folder / "run";
  int resumed = 0;
  for (Index done = 0; done < 28;) {
    Run now(options(run, 0), [&](const Var& logits, const Targets& y) {
      if (++done % 3 == 0 || done % 7 == 0) std::raise(resumed % 2 == 0 ? SIGINT : SIGTERM);
      return CrossEntropy()(logits, y);
    });
    if (done > 0) now.trainer.resume(RunFolder(run).newest_checkpoint());
    REQUIRE(now.trainer.steps() == done);
    ++resumed;
    now.trainer.fit(now.data);
    if (done == 28) {
      Run last(options(run, 0));
      last.trainer.resume(RunFolder(run).newest_checkpoint());
      last.trainer.fit(last.data);  // the validation that was interrupted
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
  run.trainer.fit(run.data);
  Checkpoint c = RunFolder(folder.path()).newest_checkpoint();
  c.progress = {.epochs = {}, .losses = {}, .in_epoch = true};
  Run again(options(folder.path(), 2));
  again.trainer.resume(c);
  CHECK(again.trainer.steps() == 0);
  again.trainer.fit(again.data);
  CHECK(RunFolder(folder.path()).newest_checkpoint().progress.steps() == 2);

  TrainerOptions other = options(folder.path(), 4);
  other.batch_size = 4;
  Run smaller(other);
  CHECK(fails([&] { smaller.trainer.resume(c); }, {"steps of 8 images", "batch size of 4"}));
}

TEST_CASE("checkpoint: the newest few stay, and save_every makes some within an epoch") {
  const TempFolder folder;
  TrainerOptions every_three = options(folder.path(), 20);
  every_three.save_every = 3;
  every_three.checkpoint_hist = 4;
  Run run(every_three);
  run.trainer.fit(run.data);
  for (const char* step : {"00000014", "00000015", "00000018", "00000020"})
    CHECK(fs::exists(folder / (std::string("checkpoint-") + step + ".safetensors")));
  // Besides: two csv files, the curves, the report, the events, the model, the best, and nothing half written.
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 11);
}

TEST_CASE("checkpoint: what a killed run left half written goes with the next") {
  const TempFolder folder;
  for (const char* name : {"checkpoint-00000002.safetensors.4711.tmp", "model.safetensors.99.tmp",
                           "checkpoint-mine.tmp", "checkpoint-mine.7.tmp", "checkpoint-00000002.safetensors.old"})
    std::ofstream(folder / name) << "x";
  Run run(options(folder.path(), 3));
  run.trainer.fit(run.data);
  CHECK(!fs::exists(folder / "checkpoint-00000002.safetensors.4711.tmp"));
  CHECK(!fs::exists(folder / "model.safetensors.99.tmp"));
  CHECK(fs::exists(folder / "checkpoint-mine.tmp"));  // not ours
  CHECK(fs::exists(folder / "checkpoint-mine.7.tmp"));
  CHECK(fs::exists(folder / "checkpoint-00000002.safetensors.old"));
}

TEST_CASE("checkpoint: going on from an earlier one gives the later ones up") {
  const TempFolder folder;
  TrainerOptions every_step = options(folder.path(), 12);
  every_step.save_every = 1;
  every_step.checkpoint_hist = 9;
  Run run(every_step);
  run.trainer.fit(run.data);
  every_step.max_steps = 8;
  Run again(every_step);
  again.trainer.resume(read_checkpoint(folder / "checkpoint-00000005.safetensors"));
  again.trainer.fit(again.data);
  CHECK(RunFolder(folder.path()).newest_checkpoint().progress.steps() == 8);
  CHECK(!fs::exists(folder / "checkpoint-00000012.safetensors"));
}

TEST_CASE("checkpoint: a damaged one is named, and the one before is read") {
  const TempFolder folder;
  CHECK(fails([&] { RunFolder(folder.path()).newest_checkpoint(); }, {"holds no checkpoint", folder.path().string()}));
  CHECK(fails([&] { RunFolder(folder / "no").newest_checkpoint(); }, {"cannot be read", (folder / "no").string()}));
  Run run(options(folder.path(), 14));
  run.trainer.fit(run.data);
  const fs::path newest = folder / "checkpoint-00000014.safetensors",
                 before = folder / "checkpoint-00000007.safetensors";
  const std::string whole = content(newest);
  std::ofstream(newest, std::ios::binary) << whole.substr(0, whole.size() - 1);
  CHECK(RunFolder(folder.path()).newest_checkpoint().progress.steps() == 7);
  std::ofstream(before, std::ios::binary) << "";
  CHECK(fails([&] { RunFolder(folder.path()).newest_checkpoint(); }, {before.string()}));
}

TEST_CASE("checkpoint: every number survives, also those that JSON does not know") {
  const TempFolder folder;
  constexpr double inf = std::numeric_limits<double>::infinity();
  Checkpoint c;
  c.parameters = {{"w", Tensor({2}, {real(0.1), real(-0.0)})}};
  c.buffers = {{"seen", Tensor({1}, {3})}};
  c.optimizer = "adamw";
  c.optimizer_state = {{"exp_avg.w", Tensor({2}, {real(1e-30), 3})}, {"step.w", Tensor::scalar(7)}};
  c.streams = {{"", Rng(Draw{~0ull, 1ull << 63})}, {"blks.0.dice", Rng(7)}};
  c.progress.epochs = {{1, 469, 0.1 + 0.2, loss_and_accuracy(inf, std::nan("")), 0.1, 1e-300, -inf}};
  c.progress.losses = {1.5, static_cast<double>(real(0.1))};
  c.progress.in_epoch = true;
  c.progress.first_step = 1;
  c.progress.images = 128;
  c.progress.loss_sum = 1.0 / 3;
  c.notes.config = "{\"a\": \"\xc3\xa4\"}\n";
  write_file(folder / "x", checkpoint_content(folder / "x", c));
  const Checkpoint d = read_checkpoint(folder / "x");
  CHECK(d.parameters.at("w").values() == c.parameters.at("w").values());
  CHECK(std::signbit(d.parameters.at("w").values()[1]));
  CHECK(d.buffers.at("seen").item() == 3);
  CHECK(d.optimizer == "adamw");
  CHECK(d.optimizer_state.at("exp_avg.w").values() == c.optimizer_state.at("exp_avg.w").values());
  CHECK(d.optimizer_state.at("step.w").item() == 7);
  CHECK(d.streams.at("").peek().key == ~0ull);
  CHECK(d.streams.at("").peek().number == 1ull << 63);
  CHECK(d.streams.at("blks.0.dice").peek().key == 7);
  REQUIRE(d.progress.epochs.size() == 1);
  CHECK(d.progress.epochs[0].train_loss == 0.1 + 0.2);
  CHECK(d.progress.epochs[0]["val_loss"] == inf);
  CHECK(std::isnan(d.progress.epochs[0]["val_acc"]));
  CHECK(d.progress.epochs[0].img_per_s == 1e-300);
  CHECK(d.progress.epochs[0].seconds == -inf);
  CHECK(d.progress.losses == c.progress.losses);
  CHECK(d.progress.in_epoch);
  CHECK(d.progress.loss_sum == 1.0 / 3);
  CHECK(d.notes.config == c.notes.config);
  CHECK(d.notes.model.empty());
}

TEST_CASE("checkpoint: as many epochs, steps and names of classes as a run may have are read again") {
  const TempFolder folder;
  Checkpoint c{.optimizer = "sgd", .streams = {{"", Rng(1)}}};
  for (int i = 0; i < 200'000; ++i) {
    const double x = std::sin(i) / 3;
    c.progress.epochs.push_back({i + 1, 5 * (i + 1), x, loss_and_accuracy(-x, x * x), 1e-3 * x, 1e5 * x, 1 / (x + 2)});
    for (int k = 0; k < 5; ++k) c.progress.losses.push_back(static_cast<double>(static_cast<real>(x)));
    c.notes.model += "\"the name of class " + std::to_string(i) + "\", ";
  }
  write_file(folder / "x", checkpoint_content(folder / "x", c));
  const Checkpoint d = read_checkpoint(folder / "x");
  CHECK(d.progress.epochs == c.progress.epochs);
  CHECK(d.progress.losses == c.progress.losses);
  CHECK(d.notes.model == c.notes.model);
  write_file(folder / "metrics.csv", metrics_csv(c.progress.epochs));
  CHECK(read_metrics(folder / "metrics.csv").size() == c.progress.epochs.size());
}

TEST_CASE("checkpoint: what could not be kept is refused before the first step, and leaves nothing") {
  const TempFolder folder;
  const struct {
    RunNotes notes;
    const char* says;
  } cases[] = {{{.model = std::string(17 << 20, 'x')}, "a name or a note of more than 16777216 bytes"},
               {{.config = "\xff"}, "is not UTF-8"}};
  for (const auto& one : cases) {
    TrainerOptions noted = options(folder / "run", 3);
    noted.notes = one.notes;
    int steps = 0;
    Run run(noted, [&](const Var& logits, const Targets& y) {
      ++steps;
      return CrossEntropy()(logits, y);
    });
    CHECK(fails([&] { run.trainer.fit(run.data); }, {one.says, "checkpoint-00000000.safetensors"}));
    CHECK(steps == 0);
    CHECK(!fs::exists(folder / "run"));
  }
}

TEST_CASE("checkpoint: the first format, which knew SGD alone and named streams by their layers, is read") {
  const Checkpoint c = read_checkpoint("tests/optim/training/first_format.safetensors");
  CHECK(c.optimizer == "sgd");
  CHECK(c.parameters.size() == 20);
  CHECK(c.optimizer_state.size() == 20);
  CHECK(c.optimizer_state.at("momentum_buffer.head.1.weight").shape() == Shape{10, 8});
  CHECK(c.buffers.empty());
  CHECK(c.streams.size() == 5);
  CHECK(c.streams.at("").peek().number == 2);
  CHECK(c.streams.at("blks.0.mlp.dropout1.rng").peek().number == 7);
  CHECK(c.progress.steps() == 7);
  CHECK(c.progress.steps_in_epoch() == 2);
  CHECK(c.notes.model.starts_with("{\"config\""));
  CHECK(contains(c.notes.config, "\"program\": \"train_vit\""));
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

  const Checkpoint two_steps{.optimizer = "sgd",
                             .streams = {{"", Rng(1)}},
                             .progress = {.epochs = {{.metrics = loss_and_accuracy(0, 0)}}, .losses = {1, 2}}};
  write_file(path, checkpoint_content(path, two_steps));
  const Safetensors written = read_safetensors(path);
  nlohmann::json good = nlohmann::json::parse(written.metadata.at("training"));
  for (const auto& [epochs, says] : std::vector<std::pair<Tensor, std::string>>{
           {Tensor({28}), "have the shape (28)"},
           {Tensor({1, 7, 5}), "have the shape (1, 7, 5)"},
           {Tensor::full({1, 7, 4}, real(0.5)), "a piece of a number that is 0.5"},
           {Tensor::full({1, 7, 4}, real(-1)), "a piece of a number that is -1"},
           {Tensor::full({1, 7, 4}, real(65536)), "a piece of a number that is 65536"},
           {Tensor::full({1, 7, 4}, real(NAN)), "a piece of a number"},
           {Tensor::full({1, 7, 4}, real(65535)), "one that ends after step"}}) {
    write_safetensors(path, {{"losses", Tensor({2}, {1, 2})}, {"epochs", epochs}}, written.metadata);
    CHECK(fails([&] { read_checkpoint(path); }, {path.string(), "damaged", says}));
  }
  // As files before had them.
  good["progress"]["epochs"] = {{{"step", 3},
                                 {"train_loss", 0.5},
                                 {"val_loss", 0.25},
                                 {"val_acc", 0.75},
                                 {"lr", 0.125},
                                 {"img_per_s", 0.5},
                                 {"seconds", 1.5}}};
  CHECK(!refused(good.dump(), ""));
  CHECK(read_checkpoint(path).progress.epochs.at(0).seconds == 1.5);
  const nlohmann::json flat = good.flatten();
  for (const auto& entry : flat.items())
    for (const nlohmann::json& bad :
         {nlohmann::json("x"), nlohmann::json(), nlohmann::json(-1), nlohmann::json::array()}) {
      CAPTURE(entry.key());
      CAPTURE(bad.dump());
      nlohmann::json lie = good;
      lie[nlohmann::json::json_pointer(entry.key())] = bad;
      // -1 is a number like any other there, and "x" a name.
      const bool harmless =
          (bad == -1 && entry.value().is_number_float()) || (bad == "x" && entry.key() == "/optimizer");
      if (!harmless) CHECK(refused(lie.dump(), "damaged"));
    }
  nlohmann::json lie = good;
  lie["progress"]["first_step"] = 3;
  CHECK(refused(lie.dump(), "after step 3 of 2"));
}

TEST_CASE("checkpoint: one of another model changes nothing") {
  const TempFolder folder;
  Run run(options(folder.path(), 3));
  run.trainer.fit(run.data);
  Checkpoint other = RunFolder(folder.path()).newest_checkpoint();
  Run fresh(options(folder / "new", 3));
  const auto before = fresh.weights();
  other.parameters.erase("head.1.bias");
  CHECK(fails([&] { fresh.trainer.resume(other); }, {"head.1.bias"}));
  other = RunFolder(folder.path()).newest_checkpoint();
  other.streams.erase("blks.1.mlp.dropout2.rng");
  CHECK(fails([&] { fresh.trainer.resume(other); }, {"blks.1.mlp.dropout2.rng"}));
  other = RunFolder(folder.path()).newest_checkpoint();
  other.optimizer_state["momentum_buffer.cls_token"] = Tensor({1}, {1});
  CHECK(fails([&] { fresh.trainer.resume(other); }, {"(1)", "(1, 1, 8)"}));
  other = RunFolder(folder.path()).newest_checkpoint();
  other.optimizer_state["exp_avg.cls_token"] = Tensor({1, 1, 8});
  CHECK(fails([&] { fresh.trainer.resume(other); }, {"\"exp_avg.cls_token\" belongs to no parameter"}));
  other = RunFolder(folder.path()).newest_checkpoint();
  other.optimizer = "adamw";
  CHECK(fails([&] { fresh.trainer.resume(other); }, {"the optimizer \"adamw\", with which it has to go on, not sgd"}));
  CHECK(fresh.weights() == before);
  CHECK(fresh.sgd.state().empty());
  CHECK(fresh.trainer.steps() == 0);
}
