// train --teacher: a student learns from a model that a run of the same program has left.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "data/images/codec.h"
#include "nn/pretrained/model_file.h"
#include "tests/apps/program.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

const std::string program_train = program("train");

// Pictures that are bright to the left, or to the right.
void write_pictures(const fs::path& data) {
  for (int i = 0; i < 40; ++i) {
    const fs::path picture = data / (i % 2 > 0 ? "left" : "right") / (std::to_string(100 + i) + ".png");
    fs::create_directories(picture.parent_path());
    std::vector<std::uint8_t> bytes;
    for (int k = 0; k < 64; ++k)
      bytes.push_back(static_cast<std::uint8_t>((k % 8 < 4) == (i % 2 > 0) ? 150 + i : (k * i) % 50));
    write_png(picture, {1, 8, 8, bytes});
  }
}

std::string in(const TempFolder& folder, const std::string& of_pictures = "--channels 1 --img-size 8") {
  return " " + of_pictures + " --batch-size 8 --threads 1 --epochs 3 --data " + (folder / "data").string() + " ";
}
const std::string vit = " --preset quick --patch-size 4 --num-hiddens 8 --mlp-num-hiddens 8 ";

// A teacher with BatchNorm and a mean and deviation of its own.
void train_teacher(const TempFolder& folder) {
  write_pictures(folder / "data");
  const Result r =
      run(program_train + " --preset convnet --width 8 --seed 5" + in(folder) + "--crop-padding 0 --crop-mode " +
          "constant --hflip 0 --hflip-mode random --output-dir " + (folder / "teacher").string());
  INFO(r.output);
  REQUIRE(r.status == 0);
}

}  // namespace

TEST_CASE(
    "train: a distilled student learns from a run's model or a file, softly and hard, and is measured by the mean") {
  const TempFolder folder;
  train_teacher(folder);
  const std::string student = program_train + vit + in(folder) + "--output-dir " + folder.path().string() + "/",
                    teacher = " --teacher " + (folder / "teacher").string();
  const Result by_run = run(student + "a --distilled --distillation-type hard" + teacher);
  INFO(by_run.output);
  CHECK(by_run.status == 0);
  CHECK(contains(by_run.output, "teacher/model.safetensors, whose logits are stored"));
  CHECK(contains(content(folder / "a/config.json"), "\"distillation-type\": \"hard\""));
  CHECK(contains(content(folder / "a/config.json"), "\"teacher\": \"" + folder.path().string()));
  CHECK(read_model_file(folder / "a/model.safetensors").config.as<ViTConfig>()->distilled);
  // The same teacher, by its file.
  CHECK(run(student + "b --distilled --distillation-type hard" + teacher + "/model.safetensors").status == 0);
  CHECK(content(folder / "a/losses.csv") == content(folder / "b/losses.csv"));
  // Each flag reaches the loss; crops leave nothing to store; and a student with one head learns from a teacher, too.
  std::vector<std::string> losses{content(folder / "a/losses.csv")};
  for (const std::string flags :
       {"hard --distillation-alpha .25 --distilled", "soft --distilled", "soft --distillation-tau 3 --distilled",
        "soft --distillation-scale timm --distilled", "soft --crop-padding 1 --mixup .2 --distilled", "hard"}) {
    const std::string name = "c" + std::to_string(losses.size());
    const Result r = run(student + name + teacher + " --distillation-type " + flags);
    INFO(flags, ": ", r.output);
    CHECK(r.status == 0);
    CHECK(contains(r.output, "whose logits are stored") != contains(flags, "mixup"));
    losses.push_back(content(folder / name / "losses.csv"));
    CHECK(std::count(losses.begin(), losses.end(), losses.back()) == 1);
  }
}

TEST_CASE("train: with a teacher, what is killed and resumed ends to the bit, and another teacher is refused") {
  const TempFolder folder;
  train_teacher(folder);
  for (const std::string flags : {"--hflip .5 --hflip-mode alternate", "--hflip .5 --crop-padding 1 --cutmix 1"}) {
    CAPTURE(flags);
    const std::string out = (folder / "whole").string(), cut = (folder / "cut").string(),
                      start = program_train + vit + in(folder) +
                              "--distilled --distillation-type soft --save-every 2 " + flags + " --teacher " +
                              (folder / "teacher").string() + " --output-dir ";
    CHECK(run(start + out).status == 0);
    CHECK(run(start + cut + " --max-steps 7").status == 0);
    fs::remove_all(folder / "elsewhere");
    fs::rename(folder / "teacher", folder / "elsewhere");
    const std::string resume = program_train + " --resume " + cut + " --max-steps 0";
    const Result gone = run(resume);
    CHECK(gone.status == 1);
    CHECK(contains(gone.output, "teacher"));
    const Result other = run(resume + " --teacher " + out);
    INFO(other.output);
    CHECK(other.status == 1);
    CHECK(contains(other.output, "the teacher is not the one that the run began with"));
    CHECK(run(resume + " --teacher " + (folder / "elsewhere").string()).status == 0);
    CHECK(content(cut + "/model.safetensors") != "");
    CHECK(content(cut + "/losses.csv") == content(out + "/losses.csv"));
    CHECK(read_model_file(cut + "/model.safetensors").tensors.at("head_dist.weight").values() ==
          read_model_file(out + "/model.safetensors").tensors.at("head_dist.weight").values());
    fs::rename(folder / "elsewhere", folder / "teacher");
    fs::remove_all(out);
    fs::remove_all(cut);
  }
}

TEST_CASE("train: a teacher who cannot teach, and flags that would do nothing, are refused") {
  const TempFolder folder;
  train_teacher(folder);
  const std::string teacher = "--teacher " + (folder / "teacher").string() + " ", pictures = vit + in(folder);
  check_refuses("train", pictures + "--distillation-type hard", 1, "needs a --teacher");
  check_refuses("train", pictures + teacher, 1, "--distillation-type hard, which DeiT recommends, or soft");
  check_refuses("train", pictures + "--distillation-alpha .5", 1,
                "--distillation-alpha is for --distillation-type soft or hard");
  check_refuses("train", pictures + teacher + "--distillation-type hard --distillation-tau 2", 1,
                "--distillation-tau is for --distillation-type soft");
  check_refuses("train", pictures + teacher + "--distillation-type harder", 2, "harder");
  check_refuses("train", pictures + teacher + "--distillation-type soft --distillation-alpha 2", 2, "2");
  check_refuses("train", pictures + "--distilled --global-pool avg", 1, "--global-pool token");
  const std::string hard = teacher + "--distillation-type hard --distilled ";
  check_refuses("train", vit + in(folder, "--channels 1 --img-size 16") + hard, 1,
                "sees images of 8 x 8, the student of 16 x 16");
  check_refuses("train", vit + in(folder, "--channels 3 --img-size 8") + hard, 1, "1 channel, the student of 3");
  check_refuses("train", pictures + "--distillation-type hard --teacher none.safetensors", 1, "none.safetensors");
  fs::rename(folder / "data/left", folder / "data/up");
  check_refuses("train", pictures + hard, 1, "its class 0 is \"left\", not \"right\"");
}

TEST_CASE("train: --train-share trains on a part of each class, the same whatever the seed") {
  const TempFolder folder;
  write_pictures(folder / "data");
  const auto data_of = [&](const std::string& name, const std::string& flags, const std::string& images) {
    const Result r = run(program_train + vit + in(folder) + "--max-steps 1 --output-dir " + (folder / name).string() +
                         " --train-share " + flags);
    INFO(r.output);
    REQUIRE(r.status == 0);
    CHECK(contains(r.output, images + " images to train on, 4 to validate"));
    CHECK(contains(r.output, flags.substr(0, 4) + " of the images to train on, of each class, are used"));
    const std::string config = content(folder / name / "config.json");
    return config.substr(config.find("\"train\": \""), 20);  // their checksum
  };
  const std::string quarter = data_of("a", "0.25", "8");
  CHECK(quarter == data_of("b", "0.25 --seed 3", "8"));
  CHECK(quarter != data_of("c", "0.26", "10"));
  data_of("d", "0.01", "2");  // one of each class is left
  check_refuses("train", vit + in(folder) + "--train-share 0", 2, "--train-share");
}
