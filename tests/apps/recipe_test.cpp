// What chooses among runs: a part of the training images held out, the test at the end, flags from a file, a sweep.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "data/files/safetensors.h"
#include "data/images/codec.h"
#include "nn/pretrained/model_file.h"
#include "optim/log/metrics.h"
#include "tests/apps/program.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

const std::string train_program = program("train");

// 40 dark pictures and 20 light ones, every tenth of each of which is left to test on.
void write_pictures(const fs::path& data) {
  for (int i = 0; i < 60; ++i) {
    const fs::path picture = data / (i % 3 > 0 ? "dark" : "light") / (std::to_string(100 + i) + ".png");
    fs::create_directories(picture.parent_path());
    std::vector<std::uint8_t> bytes(3 * 8 * 8, static_cast<std::uint8_t>(i % 3 > 0 ? i : 200));
    bytes[0] = 255;  // so that a picture differs from its mirror image
    write_png(picture, {3, 8, 8, bytes});
  }
}

std::string flags_for(const fs::path& data) {
  return " --preset quick --img-size 8 --patch-size 4 --num-hiddens 8 --mlp-num-hiddens 8 --batch-size 8 --threads 1 "
         "--data " +
         data.string() + " ";
}

}  // namespace

TEST_CASE("train: --val-split validates on images held out of those to train on, and the test waits for the end") {
  const TempFolder folder;
  write_pictures(folder / "data");
  const std::string flags = train_program + flags_for(folder / "data") + "--epochs 2 --val-split .25 --output-dir ";
  const Result r = run(flags + (folder / "run").string() +
                       " --ema-decay .9 --test-at-end --tta flip --class-weights balanced --grad-accum-steps 2");
  INFO(r.output);
  CHECK(r.status == 0);
  // 36 + 18 are not kept back, of which 9 and 5 (4.5, rounded) are held out.
  CHECK(contains(r.output, "40 images to train on, 14 to validate"));
  CHECK(contains(r.output, "0.25 of the images to train on, of each class, are those to validate; the 6 test images"));
  CHECK(read_metrics(folder / "run/metrics.csv").back().step == 6);  // 40 = 2·16 + 8
  const std::string test = content(folder / "run/test.csv");
  for (const char* line :
       {"weights,tta,images,loss,accuracy\nmodel,none,6,", "\nmodel,flip,6,", "\nema,none,6,", "\nema,flip,6,"})
    CHECK_MESSAGE(contains(test, line), line);

  // evaluate says the same of the weights that are saved.
  for (const auto& [file, line] : {std::pair("model", "\nmodel,flip,6,"), {"ema", "\nema,flip,6,"}}) {
    const Result e = run(program("evaluate") + " " + (folder / "run" / file).string() +
                         ".safetensors --tta flip --data " + (folder / "data").string());
    INFO(e.output);
    const std::size_t with = e.output.find("with --tta flip"), at = e.output.find("loss      ", with);
    REQUIRE(at != std::string::npos);
    CHECK(std::stod(e.output.substr(at + 10)) ==
          doctest::Approx(std::stod(test.substr(test.find(line) + std::string(line).size()))).epsilon(1e-3));
  }

  const Result other = run(flags + (folder / "other").string() + " --seed 1");  // another seed, the same images
  CHECK(
      contains(content(folder / "other/config.json"),
               content(folder / "run/config.json").substr(content(folder / "run/config.json").find("\"test\": "), 18)));
  CHECK(!fs::exists(folder / "other/test.csv"));
  check_refuses("train", "--val-split 1", 2, "--val-split");
}

TEST_CASE("train: --test-at-end measures the test folder that lies beside one to validate on") {
  const TempFolder folder;
  for (const char* part : {"train", "val", "test"}) write_pictures(folder / "data" / part);
  fs::remove(folder / "data/test/dark/101.png");
  const std::string flags = train_program + flags_for(folder / "data") + "--epochs 1 --test-at-end --output-dir " +
                            folder.path().string() + "/";
  const Result r = run(flags + "run");
  INFO(r.output);
  CHECK(r.status == 0);
  CHECK(contains(r.output, "60 images to train on, 60 to validate"));
  CHECK(contains(content(folder / "run/test.csv"), "model,none,59,"));
  const Result split = run(flags + "split --val-split .25");
  INFO(split.output);
  CHECK(contains(split.output, "45 images to train on, 15 to validate"));
  CHECK(contains(split.output, "not used: val"));
  CHECK(contains(split.output, "to test on in the end: test"));
  CHECK(!contains(split.output, "left alone"));
  CHECK(contains(content(folder / "split/test.csv"), "model,none,59,"));
  std::ofstream(folder / "data/test/dark/102.png") << "no picture";
  CHECK(contains(run(flags + "bad").output, "test/dark/102.png\" is "));
  fs::create_directories(folder / "data/testing/dark");
  CHECK(contains(run(flags + "two").output, "look like the test set"));
  for (const char* part : {"test", "testing"}) fs::remove_all(folder / "data" / part);
  const char* const none = "has no images to test on beside those to validate; --val-split holds some out";
  CHECK(contains(run(flags + "none").output, none));
  CHECK(run(flags + "held --val-split .25").status == 0);
  CHECK(contains(content(folder / "held/test.csv"), "model,none,60,"));
  fs::rename(folder / "data/val", folder / "data/test");
  CHECK(run(flags + "test").status == 0);  // on which it validates, too
  CHECK(contains(run(train_program + flags_for(folder / "data/train") + "--test-at-end").output, none));
}

TEST_CASE("train: with --val-split a picture that is left out changes the part of no other") {
  const TempFolder folder;
  write_pictures(folder / "data");
  const auto checksums = [&](const std::string& name) {
    const Result r =
        run(train_program + flags_for(folder / "data") + "--epochs 1 --max-steps 1 --val-split .25 --skip-bad" +
            " --output-dir " + (folder / name).string());
    INFO(r.output);
    CHECK(r.status == 0);
    CHECK(contains(r.output, "to test on: every tenth picture of each class"));
    const std::string config = content(folder / name / "config.json");
    return std::pair(config.substr(config.find("\"test\": "), 18), config.substr(config.find("\"train\": "), 19));
  };
  const auto before = checksums("before");
  std::ofstream(folder / "data/dark/101.png") << "no picture";
  const auto after = checksums("after");
  CHECK((before.first == after.first) != (before.second == after.second));  // it was in one of them
}

TEST_CASE("train: of --finetune what was given counts, here and with --config, and what a preset says does not") {
  const TempFolder folder;
  write_pictures(folder / "data");
  const auto path = [&](const std::string& name) { return (folder / name).string(); };
  const std::string flags = " --threads 1 --max-steps 1 --data " + path("data") + " --output-dir ";
  const auto does = [&](const std::string& words, const std::string& out) {
    const Result r = run(train_program + " " + words + flags + path(out));
    INFO(r.output);
    CHECK(r.status == 0);
    return read_model_file(path(out) + "/model.safetensors");
  };
  ModelFile first =
      does("--preset quick --img-size 8 --patch-size 4 --num-hiddens 8 --mlp-num-hiddens 8 --mean .4 --std .2", "a");
  const std::string tune = "--finetune " + path("a/model.safetensors");
  CHECK(does("--preset minute " + tune, "preset").preprocess.mean == first.preprocess.mean);
  CHECK(does("--preset minute --mean .7 --std .1 " + tune, "mean").preprocess.mean[0] == real(0.7));
  CHECK(does(tune + " --img-size 16", "size").config.img_size() == Size2(16));
  CHECK(does("--config " + path("size/config.json"), "again").config.img_size() == Size2(16));
  std::string config = content(folder / "size/config.json");
  config.replace(config.find("\"given\""), 7, "\"taken\"");
  std::ofstream(folder / "old.json") << config;
  check_refuses("train", "--config " + path("old.json"), 1, "is of an older program");

  does("--model convnet --width 2 --img-size 8", "conv");
  check_refuses("train", "--preset swin --num-heads 2 4 --data " + path("data") + " " + tune, 1,
                "--num-heads cannot be chosen with --finetune");
  // A preset's dropout is that of its own model; what was given lasts, also where the file's model is another.
  CHECK(does(tune, "dropout").config.as<ViTConfig>()->blk_dropout == 0);
  CHECK(does(tune + " --blk-dropout .3", "given").config.as<ViTConfig>()->blk_dropout == real(0.3));
  const auto flag = [&](const std::string& out, const char* name) {
    return nlohmann::json::parse(content(folder / out / "config.json"))["flags"][name].get<double>();
  };
  CHECK(flag("dropout", "blk-dropout") == 0);
  CHECK(flag("given", "blk-dropout") == doctest::Approx(0.3));
  does("--preset swin --img-size 8 --patch-size 1 --embed-dim 6 --depths 2 --num-heads 2", "swin");
  const std::string other = train_program + " --finetune " + path("swin/model.safetensors") +
                            " --drop-path .5 --threads 1 -b 8 --data " + path("data");
  CHECK(run(other + " --max-steps 6 --output-dir " + path("whole")).status == 0);
  CHECK(run(other + " --max-steps 2 --output-dir " + path("parts")).status == 0);
  CHECK(run(train_program + " --resume " + path("parts") + " --max-steps 6").status == 0);
  CHECK(content(folder / "whole/losses.csv") == content(folder / "parts/losses.csv"));
  // What a run that goes on is given lasts, too.
  for (const std::string out : {"whole", "parts"})
    CHECK(run(train_program + " --resume " + path(out) + " --drop-path .9 --max-steps 7").status == 0);
  CHECK(run(train_program + " --resume " + path("whole") + " --max-steps 12").status == 0);
  CHECK(run(train_program + " --resume " + path("parts") + " --drop-path .9 --max-steps 12").status == 0);
  CHECK(content(folder / "whole/losses.csv") == content(folder / "parts/losses.csv"));

  check_refuses("train", "--emb-dropout .3 --data " + path("data") + " --finetune " + path("conv/model.safetensors"), 1,
                "--emb-dropout is for a ViT, and");
}

TEST_CASE("train: a flag that would do nothing is refused") {
  for (const auto& [flags, needs] : {std::pair("--ra-magnitude 15", "--auto-augment ra or timm-ra"),
                                     {"--ra-ops 3 --auto-augment ta-wide", "--auto-augment ra or timm-ra"},
                                     {"--mixup-prob .5", "--mixup or --cutmix"},
                                     {"--mixup .2 --mixup-switch-prob .3", "both --mixup and --cutmix"},
                                     {"--min-lr .01", "--sched cosine"},
                                     {"--sched onecycle --warmup-prefix", "--sched cosine"},
                                     {"--sched cosine --warmup-prefix", "--sched cosine and --warmup-epochs"},
                                     {"--sched onecycle --momentum .5", "--sched constant or cosine: onecycle moves"},
                                     {"--preset convnet --opt-betas .5 .9", "--sched constant or cosine"},
                                     {"--stem-convs 3", "--stem-stages"},
                                     {"--stem-pool", "--stem-stages"},
                                     {"--stem-width 5", "--stem-stages"},
                                     {"--warmup-lr .01", "--warmup-epochs"}})
    check_refuses("train", flags, 1, std::string("does nothing without ") + needs);
  const TempFolder folder;
  write_pictures(folder / "data");  // Nesterov asks for a momentum, whatever it becomes
  CHECK(run(train_program + flags_for(folder / "data") + "--sched onecycle --nesterov --momentum .9 --max-steps 1 " +
            "--output-dir " + (folder / "run").string())
            .status == 0);
  check_refuses("train", "--mixup .2 -b 1", 1, "needs a --batch-size of 2 or more, got 1");
  // What a preset alone says gives way.
  const Result r = run(train_program + " --preset fast --hflip 0 --sched onecycle --max-steps 1 --threads 1 --data " +
                       (folder / "data").string() + " --output-dir " + (folder / "digits").string());
  INFO(r.output);
  CHECK(r.status == 0);
  const auto flags = nlohmann::json::parse(content(folder / "digits/config.json"))["flags"];
  CHECK(flags["hflip-mode"] == "random");
  CHECK(flags["warmup-epochs"] == 0);
  check_refuses("train", "--hflip-mode alternate --hflip 0", 1, "hflip_mode alternate flips the share");
}

TEST_CASE("train: best.safetensors goes along to another folder, and not back beyond its step") {
  const TempFolder folder;
  write_pictures(folder / "data");
  const auto path = [&](const std::string& name) { return (folder / name).string(); };
  CHECK(run(train_program + flags_for(folder / "data") + "--epochs 2 --output-dir " + path("a")).status == 0);
  const Result r = run(train_program + " --resume " + path("a") + " --output-dir " + path("b"));
  INFO(r.output);
  CHECK(r.status == 0);
  CHECK(contains(r.output, "more --epochs give it more"));
  CHECK(content(folder / "b/best.safetensors") == content(folder / "a/best.safetensors"));
  Safetensors best = read_safetensors(path("a/best.safetensors"));
  best.metadata["step"] = "9999";  // as if the checkpoint were an older one
  write_safetensors(path("a/best.safetensors"), best.tensors, best.metadata);
  CHECK(run(train_program + " --resume " + path("a")).status == 0);  // nothing is left to train
  CHECK(fs::exists(folder / "a/best.safetensors"));
  // It goes when there is a checkpoint to go on from, and not before.
  const std::string on = train_program + " --resume " + path("a") + " --epochs 3 --max-steps 15";  // of 7 an epoch
  const auto checkpoint = folder / "a/checkpoint-00000015.safetensors";
  fs::create_directory(checkpoint);
  CHECK(run(on).status == 1);
  CHECK(fs::exists(folder / "a/best.safetensors"));
  fs::remove(checkpoint);
  const Result gone = run(on);
  INFO(gone.output);
  CHECK(gone.status == 0);
  CHECK(contains(gone.output, "best.safetensors is of a step after "));
  CHECK(!fs::exists(folder / "a/best.safetensors"));
  // What ended a run is what would let it go on.
  const Result ended =
      run(train_program + flags_for(folder / "data") + "--epochs 9 --max-steps 2 --output-dir " + path("c"));
  CHECK(ended.status == 0);
  CHECK(contains(run(train_program + " --resume " + path("c")).output,
                 "more --max-steps, or 0 for no limit, give it more"));
}

TEST_CASE("train: a model that its last step has made NaN is an error, and never the best") {
  const TempFolder folder;
  write_pictures(folder / "data");
  const std::string out = (folder / "run").string();
  const Result r =
      run(train_program + " --model mlp --img-size 8 --threads 1 -b 54 --epochs 1 --opt adamw --opt-eps 0 --data " +
          (folder / "data").string() + " --output-dir " + out);
  INFO(r.output);
  CHECK(r.status == 1);
  CHECK(contains(r.output, "after step 1 net."));
  CHECK(contains(r.output, "infinite numbers: training has diverged"));
  for (const auto& file : fs::directory_iterator(out)) CHECK(file.path().extension() != ".safetensors");
}

TEST_CASE("train: a run that goes on with other flags says so, and measures its model anew") {
  const TempFolder folder;
  write_pictures(folder / "data");
  const auto path = [&](const std::string& name) { return (folder / name).string(); };
  CHECK(run(train_program + flags_for(folder / "data") + "--val-split .2 --test-at-end --epochs 1 --output-dir " +
            path("a"))
            .status == 0);
  CHECK(fs::exists(folder / "a/test.csv"));
  const std::string resume = train_program + " --resume " + path("a");
  CHECK(run(resume + " --epochs 2 --lr .01 --test-at-end=false").status == 0);
  CHECK(!fs::exists(folder / "a/test.csv"));  // it was of the model before
  CHECK(run(resume).status == 0);
  CHECK(run(resume + " --lr .02 --epochs 3").status == 0);
  const auto changes = nlohmann::json::parse(content(folder / "a/config.json"))["resumed"];
  REQUIRE(changes.size() == 2);
  CHECK(changes[0] == nlohmann::json::parse(R"({"step": 6, "changed": {"epochs": [1, 2], "lr": [0.05, 0.01],
                                                                       "test-at-end": [true, false]}})"));
  CHECK(changes[1] == nlohmann::json::parse(R"({"step": 12, "changed": {"epochs": [2, 3], "lr": [0.01, 0.02]}})"));
  CHECK(contains(
      run(train_program + " --max-steps 1 --config " + path("a/config.json") + " --output-dir " + path("b")).output,
      "a/config.json are those that it ended with; other ones until then: {\"changed\":{\"epochs\":[1,2]"));
}

TEST_CASE("train: --config takes the flags of a run, or of a file with some, and other flags go before them") {
  const TempFolder folder;
  write_pictures(folder / "data");
  const std::string out = " --output-dir " + folder.path().string() + "/";
  CHECK(run(train_program + flags_for(folder / "data") +
            "--opt adamw --lr .003 --epochs 1 --drop-path .2 --layer-scale .1" + out + "a")
            .status == 0);
  const std::string config = train_program + " --config " + (folder / "a/config.json").string();
  const Result same = run(config + out + "b");
  INFO(same.output);
  CHECK(same.status == 0);
  CHECK(content(folder / "a/losses.csv") == content(folder / "b/losses.csv"));
  CHECK(contains(run(config + " --help").output, "--lr FLOAT=0.003"));
  CHECK(contains(run(config + " --lr .5 --max-steps 1" + out + "c; cat " + (folder / "c/config.json").string()).output,
                 "\"lr\": 0.5"));

  std::ofstream(folder / "mine.json") << R"({"preset": "lenet", "epochs": 3, "opt": "adamw"})";
  const std::string help = run(train_program + " --config " + (folder / "mine.json").string() + " --help").output;
  for (const char* said : {"--epochs INT=3", "=lenet", "=adamw"}) CHECK_MESSAGE(contains(help, said), said);
  // What they bring with them, as on the command line.
  const auto begins = [&](const std::string& text, const std::string& part) {
    std::ofstream(folder / "mine.json") << text;
    CHECK(contains(run(train_program + " --config " + (folder / "mine.json").string() + " --help").output, part));
  };
  begins(R"({"opt": "adamw"})", "--lr FLOAT=0.001");
  begins(R"({"opt": "adamw", "lr": 0.5})", "--lr FLOAT=0.5");
  begins(R"({"model": "convnet"})", "=onecycle");
  // Another optimizer has its own usual rate where a run is meant, and that of a file of flags alone.
  CHECK(contains(run(config + " --opt sgd --help").output, "--lr FLOAT=0.1"));
  std::ofstream(folder / "mine.json") << R"({"opt": "adamw", "opt-eps": 1e-7, "lr": 0.5, "weight-decay": 0.25})";
  const std::string other =
      run(train_program + " --config " + (folder / "mine.json").string() + " --opt sgd --help").output;
  for (const char* said : {"--lr FLOAT=0.5", "--weight-decay FLOAT=0.25", "=sgd"})
    CHECK_MESSAGE(contains(other, said), said);
  const auto refuses = [&](const std::string& text, const std::string& part) {
    std::ofstream(folder / "wrong.json") << text;
    check_refuses("train", "--config " + (folder / "wrong.json").string(), 1, part);
  };
  refuses(R"({"epoch": 3})", "has \"epoch\", which is no flag of vit with sgd");
  refuses(R"({"epochs": "three"})", "epochs");
  refuses(R"({"model": "mlp", "preset": "quick"})", "the preset quick is for the model vit, not for mlp");
  refuses(R"({"lr": ""})", "--lr");
  refuses(R"({"preset": 3})", "--preset must be a word");
  refuses("[1]", "holds no flags");
  refuses("{", "wrong.json");
  check_refuses("train", "--config none.json", 1, "none.json");
  check_refuses("train", "--preset quick --config " + (folder / "mine.json").string(), 1, "one of them is enough");
}

TEST_CASE("sweep: every combination is trained once, goes on where it stopped, and ends in a table and a picture") {
  const TempFolder folder;
  write_pictures(folder / "data");
  const std::string out = (folder / "sweep").string(),
                    flags = flags_for(folder / "data") + "--epochs 1 --lr 1e-2,2e-2 --seed 0..1 --output-dir " + out,
                    sweep = program("sweep") + flags;
  const Result r = run(sweep);
  INFO(r.output);
  CHECK(r.status == 0);
  for (const char* name : {"lr=1e-2,seed=0", "lr=1e-2,seed=1", "lr=2e-2,seed=0", "lr=2e-2,seed=1"})
    CHECK_MESSAGE(fs::exists(folder / "sweep" / name / "model.safetensors"), name);
  CHECK(contains(r.output, "run 4 of 4: lr=2e-2,seed=1"));
  double sum = 0;
  for (const char* name : {"lr=1e-2,seed=0", "lr=1e-2,seed=1"})
    sum += read_metrics(folder / "sweep" / name / "metrics.csv").back()["val_acc"];
  char line[64];
  std::snprintf(line, sizeof line, "\"lr=1e-2\",val_acc,2,%.6f,", sum / 2);
  CHECK(contains(content(folder / "sweep/results.csv"), line));
  CHECK(contains(content(folder / "sweep/curves.svg"), "lr=2e-2,seed=1"));

  // What is done is not done again; what was stopped goes on, what had not begun begins.
  const auto when = fs::last_write_time(folder / "sweep/lr=1e-2,seed=0/model.safetensors");
  fs::remove_all(folder / "sweep/lr=2e-2,seed=1");
  const fs::path stopped = folder / "sweep/lr=2e-2,seed=0";
  std::string note = content(stopped / "sweep.txt");
  fs::remove_all(stopped);
  CHECK(run(train_program + flags_for(folder / "data") + "--epochs 1 --lr 2e-2 --seed 0 --max-steps 2 --output-dir " +
            stopped.string())
            .status == 0);
  std::ofstream(stopped / "sweep.txt") << note.substr(0, note.size() - 5);  // without "done"
  const Result again = run(sweep);
  INFO(again.output);
  CHECK(again.status == 0);
  CHECK(fs::last_write_time(folder / "sweep/lr=1e-2,seed=0/model.safetensors") == when);
  CHECK(fs::exists(folder / "sweep/lr=2e-2,seed=1/model.safetensors"));

  const Result other = run(program("sweep") + flags + " --momentum .5");
  CHECK(other.status == 1);
  CHECK(contains(other.output, "had other flags; give the sweep another --output-dir"));
  const Result wrong =
      run(program("sweep") + " --preset quick --momentum 5 --output-dir " + (folder / "wrong").string());
  CHECK(wrong.status == 2);
  CHECK(contains(wrong.output, "an error ended run 1 of 1; the same command goes on with it"));
  // A run that diverges ends no other, and is in no table; one that is done is never begun anew.
  const std::string diverges = program("sweep") + flags_for(folder / "data") +
                               "--epochs 1 --lr 1e6,1e-2 --output-dir " + (folder / "diverges").string();
  for (int i = 0; i < 2; ++i) {
    const Result some = run(diverges);
    INFO(some.output);
    CHECK(some.status == 1);
    CHECK(contains(some.output, "an error ended lr=1e6; the same command tries again"));
    CHECK(contains(content(folder / "diverges/results.csv"), "\"lr=1e-2\",val_acc,1,"));
    CHECK(!contains(content(folder / "diverges/results.csv"), "1e6"));
  }
  for (const auto& file : fs::directory_iterator(folder / "diverges/lr=1e-2"))
    if (file.path().filename().string().starts_with("checkpoint")) fs::remove(file);
  CHECK(contains(run(diverges + " --momentum .5").output, "had other flags; give the sweep another --output-dir"));
  CHECK(fs::exists(folder / "diverges/lr=1e-2/model.safetensors"));
  // And so does one without the mistake; and after a run that was killed while it wrote its first checkpoint.
  const std::string right =
      program("sweep") + flags_for(folder / "data") + "--epochs 1 --output-dir " + (folder / "wrong").string();
  CHECK(run(right).status == 0);
  const fs::path killed = folder / "wrong/run";
  note = content(killed / "sweep.txt");
  fs::remove_all(killed);
  fs::create_directory(killed);
  std::ofstream(killed / "sweep.txt") << note.substr(0, note.size() - 5);
  std::ofstream(killed / "checkpoint-00000002.safetensors.4711.tmp") << "half";
  CHECK(run(right).status == 0);
  CHECK(fs::exists(killed / "model.safetensors"));
  CHECK(contains(run(right + " --show-batch x.png").output, "--show-batch is for a single run"));
  CHECK(contains(run(program("sweep") + " 3").output, "the value 3 stands behind no flag"));
  CHECK(contains(run(program("sweep") + " --resume runs/x").output, "is for a single run"));
  CHECK(contains(run(program("sweep") + " --seed 3..1").output, "3..1 should rise"));
  CHECK(contains(run(program("sweep") + " --seed 0..2,2").output, "0..2,2 has the value 2 twice"));
  CHECK(contains(run(program("sweep") + " --lr .02,0.020").output, "has the value 0.020 twice"));
  // A signal that reaches the sweep alone ends it, and not only the run.
  const Result told = run(program("sweep") + flags_for(folder / "data") + "--epochs 2000 --seed 0..3 --output-dir " +
                          out + "-told & for i in $(seq 200); do sleep .05; [ -s " + out +
                          "-told/seed=0/report.html ] && break; done; kill -HUP $!; wait $!; echo ended $?");
  INFO(told.output);
  CHECK(contains(told.output, "sweep: stopped in run 1 of 4; the same command goes on with it"));
  CHECK(contains(told.output, "ended 129"));
  CHECK(!fs::exists(out + "-told/seed=1"));
  CHECK(run(program("sweep") + " --help").status == 0);
}
