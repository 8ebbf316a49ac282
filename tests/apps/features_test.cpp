// classify --features, knn, convert, and train --freeze and --layer-decay.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "apps/common/features.h"
#include "data/files/read_file.h"
#include "data/files/safetensors.h"
#include "data/files/write_file.h"
#include "data/images/codec.h"
#include "nn/models/vit.h"
#include "nn/pretrained/model_file.h"
#include "tests/apps/program.h"
#include "tests/nn/pretrained/write_classifier.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// Bright and dark pictures of 8 x 8, in a folder for each: train and test.
void make_pictures(const std::filesystem::path& folder) {
  Rng rng(5);
  for (const char* part : {"train", "val"})
    for (const std::string kind : {"bright", "dark"}) {
      std::filesystem::create_directories(folder / part / kind);
      for (int i = 0; i < 6; ++i) {
        Image image{1, 8, 8, std::vector<std::uint8_t>(64)};
        const std::vector<real> noise = rng.uniform({64}, 0, 90).values();
        for (std::size_t k = 0; k < 64; ++k)
          image.bytes[k] = static_cast<std::uint8_t>(noise[k] + (kind == "bright" ? 160 : 0));
        write_png(folder / part / kind / (std::to_string(i) + ".png"), image);
      }
    }
}

struct Run {
  int exit_code;
  std::string out, err;
};

Run run_program(const std::string& name, const std::vector<std::string>& arguments) {
  const TempFolder folder;
  std::string command = program(name);
  for (const std::string& argument : arguments) command += " '" + argument + "'";
  const std::string errors = (folder / "stderr").string();
  const Result result = run(command + " 2>'" + errors + "'");
  std::ifstream in(errors);
  return {result.status, result.output, {std::istreambuf_iterator<char>(in), {}}};
}

struct Data {
  TempFolder folder;
  ViT model;

  Data() : model(make()) {
    make_pictures(folder.path());
    write_classifier(folder / "model.safetensors", model, {"a", "b", "c"}, {.size = 8, .mean = {0}, .std = {1}});
    eval(model);
  }
  static ViT make() {
    Rng rng(3);
    return ViT({.img_size = 8,
                .patch_size = 4,
                .num_hiddens = 8,
                .mlp_num_hiddens = 16,
                .num_heads = 2,
                .num_blks = 2,
                .num_classes = 3,
                .layer_norm_eps = real(1e-6)},
               rng);
  }
  std::string path(const char* name) const { return (folder / name).string(); }
};

}  // namespace

TEST_CASE("classify --features, knn: as numbers, as a table, and their neighbours") {
  Data d;
  for (const std::string ending : {"safetensors", "csv"}) {
    CAPTURE(ending);
    for (const std::string part : {"train", "val"}) {
      const Run run = run_program("classify", {d.path("model.safetensors"), d.path(part.c_str()), "--features",
                                               d.path((part + "." + ending).c_str())});
      CHECK(run.exit_code == 0);
      CHECK(contains(run.out, "features of 12 images, 8 numbers each"));
    }
    const Features got = read_features(d.folder / ("val." + ending));
    REQUIRE(got.pictures.size() == 12);
    const Image image = read_image(got.pictures[7], 1, true);
    const Tensor want = d.model.features(to_tensor(image, {.size = 8, .mean = {0}, .std = {1}})).value();
    CHECK(got.rows[7].values() == want.values());
    CHECK(class_of(got.pictures[7]) == "dark");
    const Run knn =
        run_program("knn", {d.path(("train." + ending).c_str()), d.path(("val." + ending).c_str()), "-k", "5"});
    CHECK(knn.exit_code == 0);
    CHECK(contains(knn.out, "accuracy  1.0000"));
    CHECK(contains(knn.out, "2 classes"));
  }
  // The weights of DINO's votes: two far neighbours of one class against a near one of the other.
  write_features(d.folder / "t.csv",
                 {{"x/near/1.png", "x/far/1.png", "x/far/2.png"}, Tensor({3, 2}, {1, 0, 3, 4, 3, 4})});
  write_features(d.folder / "q.csv", {{"x/near/9.png"}, Tensor({1, 2}, {2, 0})});
  CHECK(contains(run_program("knn", {d.path("t.csv"), d.path("q.csv"), "-k", "3"}).out, "accuracy  1.0000"));
  CHECK(contains(run_program("knn", {d.path("t.csv"), d.path("q.csv"), "-k", "3", "--temperature", "10"}).out,
                 "accuracy  0.0000"));
  // What is wrong is one sentence.
  write_features(d.folder / "other.csv", {{"x/blue/1.png"}, Tensor({1, 2}, {1, 2})});
  const auto says = [&](const std::vector<std::string>& arguments, const std::string& what) {
    const Run run = run_program("knn", arguments);
    CAPTURE(run.err);
    CHECK(run.exit_code == 1);
    CHECK(contains(run.err, what));
  };
  says({d.path("t.csv"), d.path("other.csv")}, "none of TRAIN is in \"blue\"");
  says({d.path("train.csv"), d.path("q.csv")}, "have 8 numbers, those of TEST 2");
  says({d.path("t.csv"), d.path("model.safetensors")}, "holds no features: classify --features writes them");
  write_file(d.folder / "bad.csv", "image,f0,f1\na/b.png,1\n");
  says({d.path("t.csv"), d.path("bad.csv")}, "line 2 has 2 fields, the first has 3");
  write_file(d.folder / "bad.csv", "image,f0,f1\na/b.png,1,x\n");
  says({d.path("t.csv"), d.path("bad.csv")}, "line 2 has \"x\", which is no number");
  write_file(d.folder / "bad.csv", "a/b.png,1,2\na/c.png,1,3\n");
  says({d.path("t.csv"), d.path("bad.csv")}, "its first line should be image,f0,f1,...");
  write_features(d.folder / "zero.csv", {{"x/near/1.png"}, Tensor({1, 2}, {0, 0})});
  says({d.path("t.csv"), d.path("zero.csv")}, "has no direction");
  // One class, or none: any answer would be right.
  write_features(d.folder / "one.csv", {{"x/near/1.png", "y/near/2.png"}, Tensor({2, 2}, {1, 0, 3, 4})});
  says({d.path("one.csv"), d.path("q.csv")}, "all of TRAIN are in \"near\", but it takes two classes");
  write_features(d.folder / "bare.csv", {{"1.png", "near/2.png"}, Tensor({2, 2}, {1, 0, 3, 4})});
  says({d.path("bare.csv"), d.path("q.csv")}, "1.png of TRAIN is named without one");
  const Run few = run_program("knn", {d.path("t.csv"), d.path("q.csv"), "-k", "3", "--threads", "1"});
  CHECK(contains(few.out, "accuracy  1.0000"));
}

TEST_CASE("classify --features: flags for classes are refused beside it") {
  Data d;
  const std::vector<std::vector<std::string>> all{{"--logits"}, {"--format", "csv"}, {"-k", "2"}};
  for (const std::vector<std::string>& flags : all) {
    std::vector<std::string> arguments{d.path("model.safetensors"), d.path("val"), "--features", d.path("f.csv")};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Run run = run_program("classify", arguments);
    CAPTURE(run.err);
    CHECK(run.exit_code == 2);
    CHECK(contains(run.err, "--features"));
    CHECK(!std::filesystem::exists(d.folder / "f.csv"));
  }
}

TEST_CASE("train --freeze, --layer-decay: what does not learn stays to the bit") {
  Data d;
  const auto train = [&](const std::string& output, std::vector<std::string> more) {
    std::vector<std::string> arguments{"--finetune",    d.path("model.safetensors"),
                                       "--data",        d.folder.path().string(),
                                       "--output-dir",  d.path(output.c_str()),
                                       "--epochs",      "2",
                                       "--lr",          "0.5",
                                       "--batch-size",  "4",
                                       "--emb-dropout", "0",
                                       "--blk-dropout", "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Run run = run_program("train", arguments);
    CAPTURE(run.err);
    CHECK(run.exit_code == 0);
    return read_safetensors(d.folder / output / "model.safetensors").tensors;
  };
  const NamedTensors before = read_safetensors(d.folder / "model.safetensors").tensors;
  NamedTensors after = train("probe", {"--freeze", "backbone"});
  for (const auto& item : after) {
    const std::string& name = item.first;
    CAPTURE(name);
    if (name.starts_with("head.1."))
      CHECK(item.second.shape() != before.at(name).shape());
    else
      CHECK(item.second.values() == before.at(name).values());
  }
  after = train("part", {"--freeze", "blks.0.*"});
  CHECK(after.at("blks.0.mlp.dense1.weight").values() == before.at("blks.0.mlp.dense1.weight").values());
  CHECK(after.at("blks.1.mlp.dense1.weight").values() != before.at("blks.1.mlp.dense1.weight").values());
  after = train("decay", {"--layer-decay", "0"});  // only the head learns at all
  CHECK(after.at("blks.1.mlp.dense1.weight").values() == before.at("blks.1.mlp.dense1.weight").values());
  const Run run = run_program("train", {"--model", "lenet", "--data", d.folder.path().string(), "--layer-decay", "0.5",
                                        "--output-dir", d.path("x"), "--img-size", "28"});
  CHECK(run.exit_code == 1);
  CHECK(contains(run.err, "--layer-decay is for a ViT, not for a LeNet"));
  const Run all = run_program("train", {"--preset", "quick", "--img-size", "8", "--patch-size", "4", "--data",
                                        d.folder.path().string(), "--freeze", "*", "--output-dir", d.path("y")});
  CHECK(all.exit_code == 1);
  CHECK(contains(all.err, "--freeze * freezes all parameters"));
  CHECK(!std::filesystem::exists(d.folder / "y"));
}

TEST_CASE("convert: a run becomes a folder that timm reads, and we do") {
  Data d;
  const Run run = run_program("convert", {d.path("model.safetensors"), "--to", "timm", "-o", d.path("timm")});
  CAPTURE(run.err);
  CHECK(run.exit_code == 0);
  CHECK(run.out == "timm.create_model('local-dir:" + d.path("timm") + "', pretrained=True)\n");
  const std::string picture = d.path("train") + "/dark/1.png";
  const auto logits = [&](const std::string& model) {
    return run_program("classify", {model, picture, "--logits", "--format", "csv"}).out;
  };
  CHECK(logits(d.path("timm") + "/model.safetensors") == logits(d.path("model.safetensors")));
  CHECK(run_program("convert", {d.path("timm"), "--to", "transformers", "-o", d.path("hf")}).exit_code == 0);
  CHECK(logits(d.path("hf") + "/model.safetensors") == logits(d.path("model.safetensors")));
  const Run none = run_program("convert", {d.path("train"), "--to", "timm", "-o", d.path("x")});
  CHECK(contains(none.err, "holds neither a best.safetensors nor a model.safetensors"));
  // What is there stays: of the model itself, and of any other.
  std::filesystem::create_directory(d.folder / "run");
  std::filesystem::copy_file(d.folder / "model.safetensors", d.folder / "run/model.safetensors");
  for (const char* file : {"run/model.safetensors", "other/config.json"}) {
    const std::filesystem::path folder = (d.folder / file).parent_path();
    if (!std::filesystem::exists(folder)) {
      std::filesystem::create_directory(folder);
      write_file(d.folder / file, "mine");
    }
    const auto before = read_file("test", d.folder / file, 1 << 20);
    const Run refused = run_program("convert", {d.path("run"), "--to", "timm", "-o", folder.string()});
    CHECK(refused.exit_code == 1);
    CHECK(contains(refused.err, "there is already a " + (d.folder / file).string()));
    CHECK(read_file("test", d.folder / file, 1 << 20) == before);
    CHECK(std::distance(std::filesystem::directory_iterator(folder), {}) == 1);
  }
}

TEST_CASE("features: a file that could not hold the names of all pictures is refused before the work") {
  const std::vector<std::filesystem::path> many(300'000, "/data/train/n01440764/n01440764_10026_and_some_more.JPEG");
  CHECK(fails([&] { check_room_for_names("f.safetensors", many); }, {"300000 pictures", ".csv has room"}));
  check_room_for_names("f.csv", many);
  check_room_for_names("f.safetensors", {many.begin(), many.begin() + 1000});
}
