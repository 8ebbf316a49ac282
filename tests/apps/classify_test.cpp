// classify, evaluate and attention as people meet them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/drawing/axis.h"
#include "data/drawing/canvas.h"
#include "data/images/codec.h"
#include "data/sets/open.h"
#include "nn/models/attention_maps.h"
#include "nn/models/vit.h"
#include "nn/pretrained/model_file.h"
#include "tensor/functions.h"
#include "tests/apps/program.h"
#include "tests/data/files.h"
#include "tests/golden/golden.h"
#include "tests/nn/pretrained/write_classifier.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

const std::vector<std::string> names{"cat", "dog, \"big\"", "bird"};

// A folder with a model of three classes, and pictures: a.png, b.JPG (in truth a PNG), and no.png, which is none.
struct Fixture {
  TempFolder folder;
  ViT model;
  Preprocess preprocess{.size = 8, .mean = {real(0.5)}, .std = {real(0.25)}};

  Fixture() : model(make_model()) {
    write_classifier(folder / "model.safetensors", model, names, preprocess);
    write_png(folder / "a.png", picture(9, 11, 3));
    write_png(folder / "b.JPG", picture(8, 8, 5));
    std::ofstream(folder / "no.png") << "not a picture";
    std::ofstream(folder / "text.txt") << "text";
    eval(model);
  }
  static ViT make_model() {
    Rng rng(3);
    return ViT({.img_size = 8,
                .patch_size = 4,
                .num_hiddens = 8,
                .mlp_num_hiddens = 16,
                .num_heads = 2,
                .num_blks = 3,
                .num_classes = 3},
               rng);
  }
  static Image picture(Index height, Index width, int step) {
    Image image{1, height, width, {}};
    for (Index i = 0; i < height * width; ++i) image.bytes.push_back(static_cast<std::uint8_t>(i * step));
    return image;
  }
  Tensor logits(const std::string& name) { return model(to_tensor(read_image(folder / name, 1), preprocess)).value(); }
  std::string path(const std::string& name) const { return (folder / name).string(); }
  Result classify(const std::string& flags) const {
    return run(program("classify") + " --threads 1 " + path("model.safetensors") + " " + flags);
  }
};

// Pictures of 8 x 8, 20 of each class, in a folder for each; those of a class are bright on another side.
std::string bright_sides(const fs::path& folder, const std::vector<std::string>& classes) {
  for (std::size_t c = 0; c < classes.size(); ++c) {
    fs::create_directories(folder / classes[c]);
    for (int i = 0; i < 20; ++i) {
      Image image{1, 8, 8, {}};
      for (int y = 0; y < 8; ++y)
        for (int x = 0; x < 8; ++x) {
          const bool bright[] = {x < 4, x >= 4, y < 4};
          image.bytes.push_back(static_cast<std::uint8_t>((bright[c % 3] ? 200 : 0) + (7 * x + 5 * y + 3 * i) % 50));
        }
      write_png(folder / classes[c] / (std::to_string(i) + ".png"), image);
    }
  }
  return folder.string();
}

}  // namespace

TEST_CASE("classify: what it prints is what the model computes") {
  Fixture f;
  const Tensor logits = f.logits("a.png"), probabilities = softmax(logits);
  const auto best = static_cast<std::size_t>(argmax(logits));

  const Result table = f.classify(f.path("a.png"));
  CHECK(table.status == 0);
  CHECK(table.output.starts_with(f.path("a.png") + "\n  " + names[best]));
  CHECK(std::count(table.output.begin(), table.output.end(), '\n') == 4);  // all three classes

  const Result json = f.classify(f.path("a.png") + " " + f.path("b.JPG") + " --format json --logits");
  REQUIRE(json.status == 0);
  const nlohmann::json answers = nlohmann::json::parse(json.output);
  REQUIRE(answers.size() == 2);
  for (const auto& [at, name] : {std::pair{0, "a.png"}, {1, "b.JPG"}}) {
    CHECK(answers[at]["image"] == f.path(name));
    const Tensor want = f.logits(name);
    for (std::size_t c = 0; c < 3; ++c) {
      CHECK(answers[at]["classes"][c]["class"] == names[c]);  // in the model's order
      CHECK(answers[at]["classes"][c]["logit"].get<real>() == want.data()[c]);
    }
  }

  const Result csv = f.classify(f.path("a.png") + " --format csv -k 1");
  CHECK(csv.output.starts_with("image,class,probability\n" + f.path("a.png") + ","));
  CHECK(std::count(csv.output.begin(), csv.output.end(), '\n') == 2);
  CHECK(std::stof(csv.output.substr(csv.output.rfind(',') + 1)) == doctest::Approx(probabilities.data()[best]));
  CHECK(contains(f.classify(f.path("a.png") + " --format csv --logits").output, ",\"dog, \"\"big\"\"\","));
}

TEST_CASE("classify: folders, a list on stdin, and pictures that cannot be read") {
  const Fixture f;
  const Result folder = f.classify(f.folder.path().string() + " --format csv -k 1");
  CHECK(folder.status == 1);  // for no.png
  CHECK(contains(folder.output, "classify: \"" + f.path("no.png") + "\" is "));
  CHECK(contains(folder.output, "; the others are classified\n"));
  CHECK(contains(folder.output, "classify: left out in " + f.folder.path().string() + ": 1 .safetensors, 1 .txt\n"));
  CHECK(contains(folder.output, f.path("a.png") + ","));
  CHECK(contains(folder.output, f.path("b.JPG") + ","));
  CHECK(!contains(folder.output, "text.txt"));

  const Result list = run("printf '%s\\n%s\\n' " + f.path("b.JPG") + " " + f.path("a.png") + " | " +
                          program("classify") + " " + f.path("model.safetensors") + " - --format csv -k 1");
  CHECK(list.status == 0);
  CHECK(list.output.find("b.JPG") < list.output.find("a.png"));
  const Result from_windows =
      run("printf '\\357\\273\\277%s\\r\\n\\r\\n%s' " + f.path("b.JPG") + " " + f.path("a.png") + " | " +
          program("classify") + " " + f.path("model.safetensors") + " - --format csv -k 1");
  CHECK(from_windows.status == 0);
  CHECK(from_windows.output == list.output);
}

TEST_CASE("classify, evaluate, attention: a mistake is one sentence") {
  const Fixture f;
  const std::string model = f.path("model.safetensors") + " ", picture = f.path("a.png");
  for (const std::string name : {"classify", "attention"}) {
    CAPTURE(name);
    check_refuses(name, "", 2, "MODEL is required");
    check_refuses(name, model, 2, "IMAGE is required");
    check_refuses(name, model + picture + " --thread 2", 2, "did you mean --threads?");
    check_refuses(name, "none.safetensors " + picture, 1, "none.safetensors");
    check_refuses(name, picture + " " + picture, 1, "a.png");
    check_refuses(name, model + f.path("none.png"), 1, "none.png");
    check_refuses(name, model + picture + " --mean 0.5,0.5,0.5", 1, "mean");
    check_refuses(name, model + picture + " --mean 0.5,x", 2, "got x");
    check_refuses(name, model + picture + " --img-size 8x8x8", 2, "at most 2 numbers, got 8x8x8");
    check_refuses(name, model + picture + " --img-size 8.5", 2, "is in whole pixels, got 8.5");
    check_refuses(name, model + picture + " --img-size 8x", 2, "lacks a number at the end of 8x");
    check_refuses(name, model + picture + " --num-heads 4", 1, "the model has 2 attention heads, this file says");
    CHECK(run(program(name) + " --img-size 8x12 --mean 0.5 " + model + picture + " --std 0.5" +
              (name == "attention" ? " --output-dir " + f.path("x") : ""))
              .status == 0);
  }
  check_refuses("classify", model + picture + " --format xml", 2, "xml");
  check_refuses("classify", model + picture + " --top-k 0", 2, "--top-k");
  check_refuses("classify", model + picture + " --logits --top-k 3", 2, "--top-k excludes --logits");
  fs::create_directory(f.folder / "empty");
  check_refuses("classify", model + f.path("empty"), 1, "holds no picture");
  check_refuses("attention", model + picture + " --output-dir " + f.path("no.png") + "/x", 1, "no.png");
}

TEST_CASE("classify, attention: a model of numbers that are not finite is no answer") {
  Fixture f;
  named_parameters(f.model)[0].second.mutable_value().data()[0] = std::numeric_limits<real>::quiet_NaN();
  write_classifier(f.folder / "nan.safetensors", f.model, names, f.preprocess);
  const std::string flags = f.path("nan.safetensors") + " " + f.path("a.png");
  check_refuses("classify", flags, 1, "a.png\": the model's numbers for it are not finite");
  check_refuses("attention", flags + " --output-dir " + f.path("x"), 1, "numbers for it are not finite");
  CHECK(contains(run(program("classify") + " " + flags + " --features " + f.path("x.csv")).output, "not finite"));
  CHECK(!fs::exists(f.folder / "x.csv"));
}

TEST_CASE("evaluate: classes are matched by their names, also where these are numbers") {
  Fixture f;
  Rng rng(3);
  ViTConfig config = f.model.config;
  config.num_classes = 12;
  ViT model(config, rng);
  std::vector<std::string> numbers;
  for (int c = 0; c < 12; ++c) numbers.push_back(std::to_string(c));
  const auto evaluates = [&](const std::vector<std::string>& of_model, const std::vector<std::string>& of_data) {
    write_classifier(f.folder / "12.safetensors", model, of_model, f.preprocess);
    fs::remove_all(f.folder / "data");
    bright_sides(f.folder / "data", of_data);
    return run(program("evaluate") + " " + f.path("12.safetensors") + " --data-dir " + f.path("data"));
  };
  const std::vector<std::string> letters{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
  const Result same = evaluates(letters, letters);
  CHECK(same.status == 0);
  CHECK(same.output.starts_with("data      " + f.path("data") + ", the images to validate\n"));
  // Folders are in the order 0, 1, 10, 11, 2, ...
  CHECK(contains(evaluates(numbers, numbers).output, "class 2 is \"2\" for the model and \"10\" in "));
  CHECK(contains(evaluates(numbers, letters).output, "class 0 is \"0\" for the model and \"a\" in "));
}

TEST_CASE("evaluate, attention, plot, train --graph: a picture that cannot be written is known before the work") {
  const Fixture f;
  const std::string model = f.path("model.safetensors");
  fs::create_directories(f.folder / "out/mistakes.png");
  fs::create_directories(f.folder / "out/a-rollout.png");
  bright_sides(f.folder / "data", {names[0], names[1], names[2]});
  check_refuses("evaluate", model + " --by-number --data-dir " + f.path("data") + " --output-dir " + f.path("out"), 1,
                "cannot write " + f.path("out/mistakes.png") + ": Is a directory");
  CHECK(!fs::exists(f.folder / "out/confusion.png"));
  check_refuses("attention", model + " " + f.path("a.png") + " --output-dir " + f.path("out"), 1,
                "cannot write " + f.path("out/a-rollout.png") + ": Is a directory");
  CHECK(!fs::exists(f.folder / "out/a-attention.png"));
  check_refuses("plot", f.path("none") + " -o " + f.path("none/x.svg"), 1, "cannot write " + f.path("none/x.svg"));
  check_refuses("train", "--data-dir " + f.path("none") + " --graph " + f.path("none/x.svg"), 1,
                "cannot write " + f.path("none/x.svg"));
}

TEST_CASE("evaluate: photographs as large as cameras make them are thumbnails among the mistakes") {
  const Fixture f;
  const Index height = 3024, width = 4032;
  write_png(f.folder / "large.png", {1, height, width, std::vector<std::uint8_t>(height * width, 77)});
  const fs::path data = f.folder / "data";
  for (const char* name : {"1", "2", "3"}) {
    fs::create_directories(data / name);
    for (int i = 0; i < 50; ++i) fs::create_symlink(f.folder / "large.png", data / name / (std::to_string(i) + ".png"));
  }
  const Result r = run(program("evaluate") + " " + f.path("model.safetensors") + " --data-dir " + data.string() +
                       " --by-number --output-dir " + f.path("out"));
  INFO(r.output);
  CHECK(r.status == 0);
  const Image sheet = read_image(f.folder / "out/mistakes.png", 1);
  CHECK(sheet.width > 2 * 256);
  CHECK(sheet.width < 9 * 530);
}

TEST_CASE("attention: the picture, each head, their mean, the rollout, and what the colours mean") {
  Fixture f;
  const Result r = run(program("attention") + " " + f.path("model.safetensors") + " " + f.path("a.png") + " " +
                       f.path("b.JPG") + " --output-dir " + f.path("new/folder") + " --opacity 0.5");
  INFO(r.output);
  REQUIRE(r.status == 0);
  CHECK(r.output.starts_with(f.path("a.png") + ": "));
  CHECK(contains(r.output, "\n" + f.path("b.JPG") + ": "));
  const Image heads = read_image(f.folder / "new/folder/a-attention.png", 3);
  const Image rollout = read_image(f.folder / "new/folder/a-rollout.png", 3);
  CHECK(!fs::exists(f.folder / "new/folder/b-rollout.png"));

  // Tiles of 224 pixels, 8 apart, below each two lines of text of 20 pixels and 16 more; and the legend.
  constexpr Index tile = 224, right = 232, down = 280;
  CHECK(heads.width == 4 * right + 8);  // the picture, the mean, two heads
  CHECK(rollout.width == 5 * right + 8);
  for (const Index height : {heads.height - 6 * down, rollout.height - 2 * down}) {
    CHECK(height >= 8 + 110 + 8);
    CHECK(height <= 8 + 130 + 8);
  }

  const auto axis_for = [](std::vector<real> shares) {  // as far as 99 of 100
    std::sort(shares.begin(), shares.end());
    return axis_of(0, shares[(shares.size() - 1) * 99 / 100], 5);
  };
  const auto is_tile = [&](const Image& sheet, Index row, Index column, const Image& want) {
    bool same = true;
    for (Index c = 0; c < 3; ++c)
      for (Index y = 0; y < tile; ++y)
        for (Index x = 0; x < tile; ++x)
          same = same && sheet.bytes[static_cast<std::size_t>((c * sheet.height + 8 + row * down + y) * sheet.width +
                                                              8 + column * right + x)] ==
                             want.bytes[static_cast<std::size_t>((c * tile + y) * tile + x)];
    return same;
  };
  struct Maps {
    Image picture;
    std::vector<Tensor> means, heads;
    Tensor rollout;
  };
  std::vector<Maps> all;
  std::vector<real> in_heads, in_means, in_rollout;
  const auto add = [](std::vector<real>& shares, const Tensor& map) {
    for (const real share : map.values()) shares.push_back(share);
  };
  for (const char* name : {"a.png", "b.JPG"}) {
    const Image original = read_image(f.folder / name, 1);
    const std::vector<Tensor> maps = attention_maps(f.model, to_tensor(original, f.preprocess));
    Maps m{blank(tile, tile), {}, {}, over_patches(attention_rollout(maps)[0], f.model)};
    paste(m.picture, 0, 0, fit(original, f.preprocess), 28);
    add(in_rollout, m.rollout);
    for (const Tensor& map : maps) {
      m.means.push_back(over_patches(mean(map, 1)[0], f.model));
      add(in_means, m.means.back());
      add(in_heads, m.means.back());
      for (Index head = 0; head < 2; ++head) {
        m.heads.push_back(over_patches(map[0][head], f.model));
        add(in_heads, m.heads.back());
      }
    }
    all.push_back(m);
  }
  const double end_of_heads = axis_for(in_heads).end, end_of_means = axis_for(in_means).end,
               end_of_rollout = axis_for(in_rollout).end;
  for (Index p = 0; p < 2; ++p) {
    CAPTURE(p);
    const Maps& m = all[static_cast<std::size_t>(p)];
    const auto over = [&](const Tensor& map, double end) { return overlay(m.picture, map, end, 0.5); };
    CHECK(is_tile(rollout, p, 0, m.picture));
    CHECK(is_tile(rollout, p, 4, over(m.rollout, end_of_rollout)));
    for (Index block = 0; block < 3; ++block) {
      CAPTURE(block);
      const auto at = static_cast<std::size_t>(block);
      CHECK(is_tile(rollout, p, 1 + block, over(m.means[at], end_of_means)));
      CHECK(is_tile(heads, 3 * p + block, 0, m.picture));
      CHECK(is_tile(heads, 3 * p + block, 1, over(m.means[at], end_of_heads)));
      for (std::size_t head = 0; head < 2; ++head)
        CHECK(is_tile(heads, 3 * p + block, 2 + static_cast<Index>(head), over(m.heads[2 * at + head], end_of_heads)));
    }
  }

  std::string many = program("attention") + " " + f.path("model.safetensors");
  for (int i = 0; i < 84; ++i) many += " " + f.path("a.png");
  const Result refused = run(many + " --output-dir " + f.path("new/folder"));
  CHECK(refused.status == 1);
  CHECK(contains(refused.output, "84 pictures, 3 blocks and 2 attention heads are 1008 pictures in one"));
}

TEST_CASE("attention: a page that would be too large is refused before the first picture is read") {
  Fixture f;
  f.preprocess.size = 64;
  Rng rng(3);
  ViT model({.img_size = 64,
             .patch_size = 2,
             .num_hiddens = 8,
             .mlp_num_hiddens = 8,
             .num_heads = 2,
             .num_blks = 1,
             .num_classes = 3},
            rng);
  write_classifier(f.folder / "fine.safetensors", model, names, f.preprocess);
  std::string pictures;
  for (int i = 0; i < 7; ++i) pictures += " " + f.path("gone.png");
  const std::string command = program("attention") + " " + f.path("fine.safetensors") + pictures;
  // 1 + 32 · 32 tokens, of which two heads and the rollout have a square each: 8 pictures are a few too many.
  const Result refused = run(command + " " + f.path("gone.png") + " --html --output-dir " + f.path("out"));
  CHECK(refused.status == 1);
  CHECK(contains(refused.output,
                 "the page would hold 25,215,000 numbers, and has room for 25,165,824: give fewer pictures"));
  CHECK(!fs::exists(f.folder / "out"));
  CHECK(contains(run(command + " --html --output-dir " + f.path("out")).output, "gone.png"));
}

TEST_CASE("attention: pictures of one pixel, of very many, and a class with a very long name") {
  Fixture f;
  write_classifier(f.folder / "long.safetensors", f.model, {std::string(300, 'm'), std::string(300, 'n'), "\xc3\xb6"},
                   f.preprocess);
  write_png(f.folder / "one.png", {1, 1, 1, {200}});
  write_png(f.folder / "wide.png", {1, 1, 4096, std::vector<std::uint8_t>(4096, 200)});
  for (const char* name : {"one", "wide"}) {
    const Result r = run(program("attention") + " " + f.path("long.safetensors") + " " + f.path(name) +
                         ".png --output-dir " + f.path("out"));
    INFO(r.output);
    CHECK(r.status == 0);
    const Image sheet = read_image(f.folder / "out" / (std::string(name) + "-rollout.png"), 3);
    CHECK(sheet.width == 5 * 232 + 8);  // the name makes no tile wider
  }
}

TEST_CASE("train, classify, evaluate, attention: each of the models, by its name") {
  const TempFolder folder;
  const std::string sides = bright_sides(folder / "sides", {"left", "right"});
  const struct {
    const char *name, *title, *flags;
  } models[] = {{"vit", "ViT", "--img-size 16 --patch-size 8 --num-hiddens 8 --mlp-num-hiddens 16 --num-heads 2"},
                {"lenet", "LeNet", "--img-size 16 --opt adamw --lr 0.01 --sched cosine --warmup-epochs 1"},
                {"mlp", "MLP", "--img-size 8 --num-hiddens 5"}};
  for (const auto& m : models) {
    CAPTURE(m.name);
    const std::string out = (folder / m.name).string(), model = out + "/model.safetensors";
    const Result trained = run(program("train") + " --model " + m.name + " --threads 1 --channels 1 --batch-size 6 " +
                               "--epochs 3 --data-dir " + sides + " --output-dir " + out + " " + m.flags);
    INFO(trained.output);
    REQUIRE(trained.status == 0);
    CHECK(contains(trained.output, std::string("model    ") + m.title + ", "));
    CHECK(run(program("train") + " --resume " + out + " --epochs 4").status == 0);
    const Result judged = run(program("evaluate") + " " + model + " --data-dir " + sides);
    CHECK(judged.status == 0);
    CHECK(contains(judged.output, "images    4\n"));
    const Result said = run(program("classify") + " " + model + " " + sides + "/left/1.png --format csv");
    CHECK(said.status == 0);
    CHECK(contains(said.output, "1.png,left,"));
    CHECK(contains(said.output, "1.png,right,"));
    CHECK(run(program("plot") + " " + out + " -o " + out + "/again.svg").status == 0);
    const std::string attention = model + " " + sides + "/left/1.png --output-dir " + out;
    if (std::string(m.name) == "vit")
      CHECK(run(program("attention") + " " + attention).status == 0);
    else
      check_refuses("attention", attention, 1, std::string("is a ") + m.title + ", which has no attention to draw");
    if (std::string(m.name) != "vit")
      check_refuses("classify", model + " " + sides + " --features " + out + "/f.csv", 1,
                    std::string("a ") + m.title + " gives none");
    if (std::string(m.name) != "vit")
      check_refuses("classify", model + " " + sides + "/left/1.png --num-heads 2", 1, "--num-heads is for a ViT");
  }
  // A new head on another model's file, which says which model it is.
  const Result tuned =
      run(program("train") + " --threads 1 --epochs 1 --batch-size 6 --finetune " +
          (folder / "mlp/model.safetensors").string() + " --data-dir " +
          bright_sides(folder / "more", {"a", "b", "c"}) + " --output-dir " + (folder / "tuned").string());
  INFO(tuned.output);
  CHECK(tuned.status == 0);
  CHECK(contains(tuned.output, "model    MLP, "));
  check_refuses("train", "--model lenet --preset quick", 1, "the preset quick is for the model vit, not for lenet");
  check_refuses("train", "--model vgg", 2, "vgg");
}

TEST_CASE("classify, train: weights under a prefix and without a head, and what is given for weights") {
  const TempFolder folder;
  const auto path = [&](const std::string& name) { return (folder / name).string(); };
  const std::string sides = bright_sides(folder / "sides", {"left", "right"}), picture = " " + sides + "/left/1.png";
  NamedTensors whole, headless;
  for (const auto& [name, tensor] : read_safetensors("tests/golden/weights_timm.safetensors").tensors) {
    whole.emplace(name, tensor);
    if (!name.starts_with("head.")) headless.emplace("module.backbone." + name, tensor);
  }
  headless.emplace("criterion.weight", Tensor::ones({5}));
  write_safetensors(folder / "whole.safetensors", whole);
  write_safetensors(folder / "headless.safetensors", headless);
  const std::string known =
      " --num-heads 2 --global-pool token --layer-norm-eps 1e-6 --act gelu --interpolation bilinear --crop-pct 0 "
      "--mean 0.5 --std 0.5 --img-size 24";
  CHECK(run(program("classify") + " " + path("whole.safetensors") + picture + known).status == 0);
  check_refuses("classify", path("headless.safetensors") + picture + known, 1, "these weights have no head");
  const Result tuned = run(program("train") + " --threads 1 --epochs 1 --batch-size 6 --data-dir " + sides +
                           " --output-dir " + path("run") + " --finetune " + path("headless.safetensors") + known);
  INFO(tuned.output);
  REQUIRE(tuned.status == 0);
  CHECK(contains(tuned.output, "under module.backbone., without criterion.weight"));
  CHECK(run(program("classify") + " " + path("run/model.safetensors") + picture).status == 0);

  const std::string checkpoint = path("run/checkpoint-00000003.safetensors");
  for (const auto& file : fs::directory_iterator(folder / "run"))
    if (file.path().filename().string().starts_with("checkpoint-")) fs::rename(file.path(), checkpoint);
  check_refuses("classify", checkpoint + picture, 1, "this is a checkpoint of a training run");
  check_refuses("classify", path("run") + picture, 1, "is a folder, expected a file, such as those in it: best.saf");
  check_refuses("classify", picture + " " + path("whole.safetensors"), 1, "is a PNG picture, expected weights");
  check_refuses("evaluate", path("run/config.json") + " --data-dir " + sides, 1,
                "describes a model, but does not hold");
  check_refuses("train", "--resume " + path("whole.safetensors"), 1, "train --finetune begins with the weights");
  check_refuses("train", "--resume" + picture, 1, "is a PNG picture");
}

TEST_CASE("train, evaluate: pictures in folders, a new head, and a run that goes on") {
  const TempFolder folder;
  const auto path = [&](const std::string& name) { return (folder / name).string(); };
  const auto make_set = [&](const std::string& set, const std::vector<std::string>& classes) {
    return bright_sides(folder / set, classes);
  };
  const std::string sides = make_set("sides", {"left", "right"}), more = make_set("more", {"a", "b", "c"});
  const std::string
      train = program("train") + " --threads 1 ",
      tiny =
          "--channels 1 --img-size 8 --patch-size 4 --num-hiddens 8 --mlp-num-hiddens 16 --num-heads 2 --batch-size 6 ";

  const Result first =
      run(train + tiny + "--num-blks 1 --epochs 4 --data-dir " + sides + " --output-dir " + path("one"));
  INFO(first.output);
  REQUIRE(first.status == 0);
  const Result judged =
      run(program("evaluate") + " " + path("one/best.safetensors") + " --data-dir " + sides + " --mistakes 3");
  INFO(judged.output);
  CHECK(judged.status == 0);
  CHECK(contains(judged.output, "accuracy  "));
  CHECK(contains(judged.output, "images    4\n"));  // every tenth of 2 x 20
  CHECK(contains(judged.output, "left"));
  CHECK(read_image(folder / "one/confusion.png", 3).width > 50);
  check_refuses("evaluate", path("one/best.safetensors") + " --data-dir " + more, 1, "2 classes, " + more + " has 3");

  check_refuses("evaluate", path("one/best.safetensors") + " --data-dir " + make_set("others", {"x", "y"}), 1,
                "--by-number");
  CHECK(run(program("evaluate") + " " + path("one/best.safetensors") + " --by-number --data-dir " + path("others"))
            .status == 0);

  // The sizes come from the file, the classes from the data; and what stops goes on to the bit.
  const std::string tune = train + "--finetune " + path("one/model.safetensors") +
                           " --batch-size 6 --seed 1 --data-dir " + more +
                           " --hflip 0.5 --crop-padding 1 --output-dir ";
  const Result whole = run(tune + path("two") + " --epochs 2");
  INFO(whole.output);
  REQUIRE(whole.status == 0);
  const auto config = nlohmann::json::parse(content(folder / "two/config.json"));
  CHECK(config["model"]["num_hiddens"] == 8);
  CHECK(config["model"]["num_classes"] == 3);
  REQUIRE(run(tune + path("three") + " --epochs 2 --max-steps 5").status == 0);
  fs::remove_all(folder / "one");  // a run knows all that it needs
  const Result resumed = run(train + "--resume " + path("three") + " --max-steps 0");
  INFO(resumed.output);
  CHECK(resumed.status == 0);
  CHECK(contains(resumed.output, "resumed  after step 5\n"));
  CHECK(content(folder / "three/model.safetensors") == content(folder / "two/model.safetensors"));
  CHECK(content(folder / "three/losses.csv") == content(folder / "two/losses.csv"));
  CHECK(contains(run(train + "--resume " + path("three")).output, "nothing was left to do after step 18"));

  const std::string resume = "--resume " + path("three");
  check_refuses("train", resume + " --data-dir " + sides, 1, "the data are not those");
  check_refuses("train", resume + " --batch-size 7", 1, "steps of 6 images");
  check_refuses("train", resume + " --seed 2", 1, "--seed cannot be chosen with --resume");
  check_refuses("train", resume + " --num-hiddens 16", 1, "--num-hiddens cannot be chosen with --resume");
  check_refuses("train", resume + " --output-dir " + path("two"), 1, "another run");
  check_refuses("train", "--finetune " + path("two/model.safetensors") + " --num-blks 3", 1, "--num-blks cannot be");
  fs::create_directory(folder / "downloaded");
  fs::copy_file(folder / "two/model.safetensors", folder / "downloaded/model.safetensors");
  check_refuses("train",
                "--finetune " + path("downloaded/model.safetensors") + " --data-dir " + more + " --output-dir " +
                    path("downloaded") + " 2>&1 >/dev/null",
                1, "model.safetensors of another run");
  fs::rename(folder / "more", folder / "moved");  // the same pictures, elsewhere
  CHECK(run(train + resume + " --data-dir " + path("moved")).status == 0);
}

TEST_CASE("classify, evaluate, attention, train: weights of another library say on stderr what was taken") {
  const TempFolder folder;
  const auto path = [&](const std::string& name) { return (folder / name).string(); };
  Safetensors file = read_safetensors("tests/golden/foreign_transformers.safetensors");
  const auto note = nlohmann::json::parse(file.metadata.at("golden"));
  const Tensor X = file.tensors.extract("X").mapped();
  Image picture{3, X.shape()[1], X.shape()[2], {}};
  for (const real byte : X.values()) picture.bytes.push_back(static_cast<std::uint8_t>(byte));
  write_png(folder / "a.png", picture);
  write_safetensors(folder / "model.safetensors", file.tensors);
  const std::string both = " " + path("model.safetensors") + " " + path("a.png") + " ";

  // Nothing beside it: all that is missing, in one sentence.
  check_refuses("classify", both, 1, "do not say the number of heads (--num-heads), the eps of LayerNorm");
  const std::string flags =
      "--num-heads 4 --layer-norm-eps 1e-2 --act gelu_tanh --img-size 16x24 --interpolation bilinear --crop-pct 0 "
      "--mean 0.5 --std 0.5";
  const Result by_flags = run(program("classify") + both + flags + " --logits --format json 2>/dev/null");
  REQUIRE(by_flags.status == 0);
  const auto logits = nlohmann::json::parse(by_flags.output)[0]["classes"];
  for (std::size_t c = 0; c < 3; ++c)
    CHECK(logits[c]["logit"].get<double>() == doctest::Approx(note["logits"][c].get<double>()).epsilon(1e-4));

  std::ofstream(folder / "config.json") << note["config"].dump();
  std::ofstream(folder / "preprocessor_config.json") << note["preprocessor"].dump();
  const Result said = run(program("classify") + both + "2>&1 >/dev/null");
  CHECK(said.output.starts_with("classify: transformers' weights: 4 heads (config.json), "));
  CHECK(contains(said.output, "pool token (transformers' code), eps 0.01, gelu_tanh, 16 x 24 (config.json), "));
  CHECK(contains(said.output, "bilinear, squashed, mean 0.5, std 0.5 (preprocessor_config.json)"));
  CHECK(std::count(said.output.begin(), said.output.end(), '\n') == 1);

  // Several labels: each has a probability of its own.
  const Result scored = run(program("classify") + both + "--format json 2>/dev/null");
  REQUIRE(scored.status == 0);
  const std::string labels = "abc";
  const auto scores = nlohmann::json::parse(scored.output)[0]["classes"];
  CHECK(scores.size() == 3);
  for (const auto& answer : scores) {
    const auto c = labels.find(answer["class"].get<std::string>());
    CHECK(answer["probability"].get<double>() == doctest::Approx(note["scores"][c].get<double>()).epsilon(1e-4));
  }
  const std::string sides = bright_sides(folder / "sides", {"left", "right", "up"});
  const Result judged = run(program("evaluate") + " " + path("model.safetensors") + " --by-number --data-dir " + sides);
  CHECK(judged.status == 1);
  CHECK(contains(judged.output, "gives each class a probability of its own"));
  const Result drawn = run(program("attention") + both + "--output-dir " + path("out") + " 2>/dev/null");
  CHECK(drawn.status == 0);

  // A new head on them excludes classes from one another.
  const std::string tune = program("train") + " --threads 1 --epochs 1 --batch-size 6 --data-dir " + sides +
                           " --output-dir " + path("tuned") + " --finetune " + path("model.safetensors");
  const Result tuned = run(tune);
  INFO(tuned.output);
  REQUIRE(tuned.status == 0);
  CHECK(contains(tuned.output, "train: transformers' weights: 4 heads"));
  const Result own =
      run(program("classify") + " " + path("tuned/model.safetensors") + " " + path("a.png") + " --format json");
  REQUIRE(own.status == 0);
  double sum = 0;
  const auto probabilities = nlohmann::json::parse(own.output)[0]["classes"];
  for (const auto& answer : probabilities) sum += answer["probability"].get<double>();
  CHECK(sum == doctest::Approx(1));
  CHECK(nlohmann::json::parse(content(folder / "tuned/config.json"))["model"]["activation"] == "gelu_tanh");
  fs::remove(folder / "config.json");
  fs::remove(folder / "preprocessor_config.json");
  check_refuses("train", "--data-dir " + sides + " --finetune " + path("model.safetensors"), 1,
                "do not say the number");
  const Result flagged = run(program("train") + " --threads 1 --epochs 1 --batch-size 6 --data-dir " + sides +
                             " --output-dir " + path("again") + " --finetune " + path("model.safetensors") +
                             " --num-heads 4 --layer-norm-eps 1e-2 --act gelu_tanh --img-size 16 24 --interpolation "
                             "bilinear --crop-pct 0 --mean 0.5 --std 0.5");
  INFO(flagged.output);
  CHECK(flagged.status == 0);
  CHECK(content(folder / "again/losses.csv") == content(folder / "tuned/losses.csv"));
  check_refuses("train", "--weights vit_tiny_patch16_224", 1, "--weights says what the file of --finetune is");
  check_refuses("classify", both + "--weights vgg", 1,
                "names models of timm and torchvision, but these are transformers' weights");
  check_refuses("classify", both + "--act relu", 2, "relu");
}

TEST_CASE("train, classify, evaluate, bench: --precision") {
  const Fixture f;
  const auto answers = [&](const std::string& flags) {
    const Result r = f.classify(f.path("a.png") + " " + f.path("b.JPG") + " --format json 2>/dev/null " + flags);
    CHECK(r.status == 0);
    std::map<std::string, double> numbers;  // of each picture and class
    for (const auto& picture : nlohmann::json::parse(r.output))
      for (const auto& answer : picture["classes"])
        for (const char* kind : {"probability", "logit"})
          if (answer.contains(kind))
            numbers[picture["image"].get<std::string>() + answer["class"].get<std::string>()] = answer[kind];
    return numbers;
  };
  const auto exact = answers(""), rounded = answers("--precision bfloat16");
  REQUIRE(exact.size() == 6);
  REQUIRE(rounded.size() == 6);
  for (const auto& [what, probability] : exact) CHECK(std::abs(rounded.at(what) / probability - 1) <= 2e-2);
  CHECK(answers("--logits --precision bfloat16") != answers("--logits"));
  CHECK(answers("--logits --precision float32") == answers("--logits"));
  const Result said = f.classify(f.path("a.png") + " --precision bfloat16 2>&1 >/dev/null");
  CHECK(said.output.starts_with("classify: "));
  CHECK(contains(said.output, "bfloat16"));  // by what it is multiplied
  CHECK(std::count(said.output.begin(), said.output.end(), '\n') == 1);

  const std::string judge = program("evaluate") + " --threads 1 " + f.path("model.safetensors") +
                            " --by-number --data-dir " + bright_sides(f.folder / "sides", {"left", "right", "up"}) +
                            " --output-dir " + f.path("out");
  const Result judged = run(judge), judged_rounded = run(judge + " --precision bfloat16");
  const auto loss = [](const Result& r) {
    INFO(r.output);
    REQUIRE(r.status == 0);
    return std::stod(r.output.substr(r.output.find("loss      ") + 10));
  };
  CHECK(std::abs(loss(judged_rounded) / loss(judged) - 1) <= 2e-2);
  CHECK(judged_rounded.output.starts_with("products  "));
  CHECK(contains(judged_rounded.output.substr(0, judged_rounded.output.find('\n')), "bfloat16"));
  CHECK(!contains(judged.output, "bfloat16"));

  const std::string model = f.path("model.safetensors") + " ";
  const std::pair<std::string, std::string> programs[] = {
      {"train", ""}, {"classify", model + f.path("a.png")}, {"evaluate", model}, {"bench", ""}};
  for (const auto& [name, words] : programs) {
    check_refuses(name, words + " --precision half", 2,
                  "--precision should be float32, tf32 or bfloat16, got \"half\"");
    check_refuses(name, words + " --precision tf32", 1,
                  "TF32 is a number format of NVIDIA's GPUs; this build computes");
  }
}

TEST_CASE("classify, attention: what does not arrive on a full disk is said") {
  const Fixture f;
  const std::string model = " --threads 1 " + f.path("model.safetensors") + " " + f.path("a.png");
  for (const std::string& command : {"classify" + model, "classify" + model + " --format json",
                                     "attention" + model + " --output-dir " + f.path("out")}) {
    const Result r = run(program(command) + " > /dev/full");
    INFO(r.output);
    CHECK(r.status == 1);
    CHECK(contains(r.output, "[stdout] not all that there is to say could be written: No space left on device"));
    CHECK(std::count(r.output.begin(), r.output.end(), '\n') == 1);
  }
}

TEST_CASE("classify, evaluate, train: pictures are turned as their Exif says, unless --no-exif is given") {
  Fixture f;
  const Golden golden("exif");
  const std::vector<int> file = golden.ints("png 6/file");
  std::ofstream(f.folder / "held.png", std::ios::binary) << std::string(file.begin(), file.end());
  const auto logits = [&](const std::string& flags) {
    const Result r = f.classify(flags + " --format json --logits " + f.path("held.png"));
    INFO(r.output);
    REQUIRE(r.status == 0);
    std::vector<real> numbers;
    const nlohmann::json answers = nlohmann::json::parse(r.output);
    for (const auto& answer : answers[0]["classes"]) numbers.push_back(answer["logit"]);
    return numbers;
  };
  const auto of = [&](bool exif) {
    return f.model(to_tensor(read_image(f.folder / "held.png", 1, exif), f.preprocess)).value().values();
  };
  CHECK(of(true) != of(false));
  CHECK(logits("") == of(true));
  CHECK(logits("--no-exif") == of(false));
  f.preprocess.no_exif = true;  // as the model was trained
  write_classifier(f.folder / "model.safetensors", f.model, names, f.preprocess);
  CHECK(logits("") == of(false));

  for (const char* name : {"cat", "dog"})
    for (int i = 0; i < 10; ++i) {
      fs::create_directories(f.folder / "data" / name);
      fs::copy(f.folder / "held.png", f.folder / "data" / name / (std::to_string(i) + ".png"));
    }
  const std::string train = program("train") + " --preset quick --max-steps 1 --threads 1 --data " + f.path("data");
  for (const std::string flag : {"", " --no-exif"}) {
    const std::string folder = f.path("run" + flag.substr(0, 2));
    const Result r = run(train + flag + " --output-dir '" + folder + "'");
    INFO(r.output);
    REQUIRE(r.status == 0);
    const bool off = !flag.empty();
    CHECK(nlohmann::json::parse(content(folder + "/config.json"))["flags"]["no-exif"] == off);
    CHECK(read_model_file(folder + "/model.safetensors").preprocess.no_exif == off);
    check_refuses("train", "--no-exif --resume '" + folder + "'", 1, "--no-exif cannot be chosen with --resume");
  }
}

TEST_CASE("evaluate, train: images of another number of channels, and classes of which one is most of the images") {
  Fixture f;
  const fs::path mnist = f.folder / "MNIST/raw";
  fs::create_directories(mnist);
  const Bytes labels{0, 0, 0, 0, 0, 0, 0, 1, 2, 0};
  for (const char* part : {"train", "t10k"}) {
    write_file(mnist / (std::string(part) + "-images-idx3-ubyte"), idx({10, 8, 8}, noise(640)));
    write_file(mnist / (std::string(part) + "-labels-idx1-ubyte"), idx({10}, labels));
  }
  Rng rng(5);
  ViTConfig config = f.model.config;
  config.num_channels = 3;
  config.num_classes = 10;
  ViT color(config, rng);
  const std::vector<std::string> digits{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  const Preprocess preprocess{
      .size = 8, .mean = {real(0.5), real(0.25), real(0.75)}, .std = {real(0.5), real(0.5), real(0.25)}};
  write_classifier(f.folder / "color.safetensors", color, digits, preprocess);

  const Result r = run(program("evaluate") + " " + f.path("color.safetensors") + " --data " + f.path("MNIST") +
                       " --output-dir " + f.path("out"));
  INFO(r.output);
  REQUIRE(r.status == 0);
  CHECK(contains(r.output, "grey images, for a model of colours: three equal channels\n"));
  CHECK(contains(r.output, "\nlargest class      0.8000, the accuracy of always saying \"0\"\n"));
  CHECK(contains(r.output, "\nbalanced accuracy  0."));
  CHECK(contains(r.output, "\nmacro F1           0."));
  CHECK(contains(r.output, "-       -        0  never predicted\n"));  // of 3 ... 9 there are no images
  CHECK(!contains(r.output, "nan"));
  eval(color);
  int right = 0;
  const TrainAndTest data = image_data(mnist, preprocess, 3, IfOther::convert);
  for (Index i = 0; i < 10; ++i)
    right += argmax(color(to_tensor(data.test.image(i), data.test.preprocess)).value()) == labels[i];
  CHECK(contains(r.output, "accuracy  " + std::to_string(right / 10.0).substr(0, 6) + "\n"));

  const Result tuned = run(program("train") + " --finetune " + f.path("color.safetensors") + " --data " +
                           f.path("MNIST") + " --epochs 1 --output-dir " + f.path("run"));
  INFO(tuned.output);
  REQUIRE(tuned.status == 0);
  CHECK(contains(tuned.output,
                 "train: the weights are for images of 3 channels, MNIST has 1: the first convolution's "
                 "are summed over the channels, as timm does it; mean and std are averaged\n"));
  CHECK(contains(tuned.output, "always to say \"0\" would have the accuracy 0.8000 on the images to validate\n"));
  const ModelFile file = read_model_file(f.folder / "run/model.safetensors");
  CHECK(file.config.num_channels() == 1);
  CHECK(file.preprocess.mean == std::vector<real>{real(0.5)});
  const Result again = run(program("train") + " --resume " + f.path("run") + " --epochs 2");
  INFO(again.output);
  CHECK(again.status == 0);
}
