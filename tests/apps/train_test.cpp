// The program as people meet it: exit codes, one sentence for each mistake, and a short run on real data.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "data/files/safetensors.h"
#include "data/images/codec.h"
#include "tests/apps/program.h"
#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

const std::string train = program("train");

bool have_data() { return fs::exists("/usr/share/datasets/fashion-mnist") || fs::exists("datasets/FashionMNIST/raw"); }

// 20 pictures each of two classes.
void write_dark_and_light(const fs::path& data) {
  for (int i = 0; i < 40; ++i) {
    const fs::path picture = data / (i % 2 == 0 ? "dark" : "light") / (std::to_string(i) + ".png");
    fs::create_directories(picture.parent_path());
    write_png(picture,
              {3, 8, 8, std::vector<std::uint8_t>(3 * 8 * 8, static_cast<std::uint8_t>(i % 2 == 0 ? i : 200 + i))});
  }
}

}  // namespace

TEST_CASE("train: --help lists the flags with the defaults of the preset") {
  const Result d2l = run(train + " --help");
  CHECK(d2l.status == 0);
  for (const char* flag :
       {"--epochs", "--batch-size", "--lr", "--momentum", "--weight-decay", "--img-size", "--patch-size", "--seed",
        "--data-dir", "--output-dir", "--threads", "--max-steps", "=512", "=2048"})
    CHECK_MESSAGE(contains(d2l.output, flag), flag);
  CHECK(contains(run(train + " --preset quick --help").output, "=64"));
  CHECK(contains(run(train + " --preset quick --help").output, "--lr FLOAT=0.05"));
  CHECK(contains(run(train + " --preset quick --opt adamw --help").output, "--lr FLOAT=0.001"));
  const std::string adamw = run(train + " --opt adamw --help").output;
  CHECK(contains(adamw, "--opt {sgd,adamw}=adamw"));
  CHECK(!contains(adamw, "--nesterov"));
}

TEST_CASE("train: a wrong command line is one sentence and exit code 2") {
  const struct {
    const char *flags, *says;
  } mistakes[] = {{"--epochs 0", "--epochs"},
                  {"--epochs -3", "--epochs"},
                  {"--epochs 1e99", "--epochs"},
                  {"--batch-size 0", "--batch-size"},
                  {"--batch-size 99999999", "--batch-size"},
                  {"--lr -1", "--lr"},
                  {"--lr nan", "--lr"},
                  {"--lr hello", "hello"},
                  {"--momentum 1", "--momentum"},
                  {"--emb-dropout 1", "--emb-dropout"},
                  {"--blk-dropout -0.1", "--blk-dropout"},
                  {"--img-size 0", "--img-size"},
                  {"--img-size 1000000", "--img-size"},
                  {"--patch-size 16 16 16", "--patch-size"},
                  {"--img-size 28 --img-size 20", "--img-size is given twice"},
                  {"--mean .5 --mean .1 .2", "--mean is given twice"},
                  {"--lr .5 --lr .1", "--lr"},
                  {"--graph a.svg --show-batch b.png", "--show-batch"},
                  {"--num-hiddens 99999999999999999999", "--num-hiddens"},
                  {"--threads 0", "--threads"},
                  {"--threads 100000", "--threads"},
                  {"--seed -1", "--seed"},
                  {"--max-steps -1", "--max-steps"},
                  {"--global-pool max", "--global-pool"},
                  {"--preset huge", "huge"},
                  {"--preset huge --epochs 2", "huge"},
                  {"--epoch 3", "did you mean --epochs?"},
                  {"--batchsize=3", "did you mean --batch-size?"},
                  {"--frobnicate", "--frobnicate"},
                  {"stray", "stray"},
                  {"--graph tape.png", "must end in .svg or .dot, got tape.png"},
                  {"--graph .svg", "--graph"},
                  {"--hflip 2", "--hflip"},
                  {"--crop-padding -1", "--crop-padding"},
                  {"--random-erase 1.1", "--random-erase"},
                  {"--mixup -1", "--mixup"},
                  {"--channels 2", "--channels"},
                  {"--mean nan", "--mean"},
                  {"--std 0", "--std"},
                  {"--std 1 1 1 1", "--std"},
                  {"--data-dir", "--data-dir"}};
  for (const auto& mistake : mistakes) check_refuses("train", mistake.flags, 2, mistake.says);
}

TEST_CASE("train: what cannot be run is one sentence and exit code 1") {
  const TempFolder folder;
  std::ofstream(folder.path() / "file") << "x";
  const auto says = [](const std::string& flags, const std::string& part) {
    const Result r = run(train + " --preset quick --max-steps 1 " + flags);
    INFO(flags, ": ", r.output);
    CHECK(r.status == 1);
    const std::string last =
        r.output.substr(r.output.rfind("train: ") == std::string::npos ? 0 : r.output.rfind("train: "));
    CHECK(contains(last, part));
    CHECK(std::count(last.begin(), last.end(), '\n') == 1);
  };
  says("--data-dir " + folder.path().string(), folder.path().string());
  const std::string out = " --output-dir " + (folder.path() / "run").string();
  says("--hflip-mode alternate" + out, "hflip_mode alternate flips the share hflip of the images");
  CHECK(!fs::exists(folder.path() / "run"));
  if (!have_data()) return;
  says("--patch-size 5" + out, "28 x 28");
  says("--num-heads 5" + out, "5 heads");
  says("--num-hiddens 65536 --img-size 4096 --patch-size 1" + out, "out of memory");  // 4 TB of positions
  says("--output-dir " + (folder.path() / "file" / "run").string(), (folder.path() / "file" / "run").string());
  says("--output-dir /proc/run", "/proc/run");
  CHECK(!fs::exists(folder.path() / "run" / "losses.csv"));
}

TEST_CASE("train: a few steps on the real data set, twice the same") {
  if (!have_data()) return;
  const TempFolder folder;
  std::string losses[2];
  for (int i = 0; i < 2; ++i) {
    const fs::path out = folder.path() / std::to_string(i);
    const Result r =
        run(train + " --preset quick --max-steps 5 --emb-dropout 0.1 --img-size 14 7 --patch-size 7 --output-dir " +
            out.string() + (i == 1 ? " --profile" : ""));
    INFO(r.output);
    CHECK(r.status == 0);
    for (const char* said : {"GFLOP/s", "attention_backward", "between"}) CHECK(contains(r.output, said) == (i == 1));
    for (const char* said : {"parameters", "OpenBLAS", "threads", "60,000 images", "14 x 7", "val_acc"})
      CHECK_MESSAGE(contains(r.output, said), said);
    std::ifstream file(out / "losses.csv");
    losses[i] = {std::istreambuf_iterator<char>(file), {}};
  }
  CHECK(std::count(losses[0].begin(), losses[0].end(), '\n') == 6);
  CHECK(losses[0] == losses[1]);
}

TEST_CASE("train: --graph draws a training step, with Graphviz and without") {
  if (!have_data()) return;
  const TempFolder folder;
  const auto draw = [&](const std::string& file, const std::string& path) {
    return run("timeout=$(command -v timeout); PATH=" + path + " $timeout 60 " + binary("train") +
               " --preset quick --num-blks 1 --batch-size 3 --output-dir " + (folder / "run").string() + " --graph " +
               (folder / file).string());
  };
  const Result as_text = draw("text.dot", "$PATH");
  INFO(as_text.output);
  CHECK(as_text.status == 0);
  CHECK(as_text.output.empty());
  const std::string dot = content(folder / "text.dot");
  CHECK(contains(dot, "(3, 17, 96)"));
  CHECK(contains(dot, "blks.0.attention"));

  const Result without = draw("\"the tape\".svg", "/nowhere");
  INFO(without.output);
  CHECK(without.status == 1);
  CHECK(contains(without.output, "Graphviz"));
  CHECK(std::count(without.output.begin(), without.output.end(), '\n') == 1);
  CHECK(content(folder / "the tape.dot") == dot);
  CHECK(!fs::exists(folder / "the tape.svg"));

  if (run("command -v dot").status == 0) {
    const Result with = draw("picture.svg", "$PATH");
    INFO(with.output);
    CHECK(with.status == 0);
    const std::string svg = content(folder / "picture.svg");
    CHECK(contains(svg, "<svg"));
    CHECK(contains(svg, "(3, 17, 96)"));
    CHECK(contains(svg, "</svg>"));
    CHECK(!fs::exists(folder / "picture.dot"));
    // What it says without Graphviz is a command that draws the same.
    CHECK(run(without.output.substr(without.output.find("dot -Tsvg"))).status == 0);
    CHECK(content(folder / "the tape.svg") == svg);
  }
  CHECK(!fs::exists(folder / "run"));
  const Result nowhere = draw("no/such/folder/tape.dot", "$PATH");
  CHECK(nowhere.status == 1);
  CHECK(contains(nowhere.output, "no/such/folder/tape.dot"));
}

TEST_CASE("train: --show-batch draws the first batch as the model sees it") {
  const TempFolder folder;
  write_small_cifar10(folder / "data");
  const auto draw = [&](const std::string& file, const std::string& flags) {
    const Result r = run(program("train") + " --preset quick --img-size 32 --patch-size 8 --batch-size 20 --data-dir " +
                         (folder / "data").string() + " --output-dir " + (folder / "run").string() + " --show-batch " +
                         (folder / file).string() + " " + flags);
    INFO(r.output);
    CHECK(r.status == 0);
    CHECK(r.output.empty());
    return read_image(folder / file, 3);
  };
  const Image plain = draw("plain.png", ""), normal = draw("normal.png", "--mean 0.5 --std 0.25");
  CHECK(plain.bytes == normal.bytes);
  const Image flipped = draw("flipped.png", "--hflip 1");
  CHECK(plain.bytes != flipped.bytes);
  CHECK(plain.width == flipped.width);
  const Image mixed = draw("mixed.png", "--mixup 1");
  CHECK(mixed.height > plain.height);  // of two lines below each picture
  CHECK(!fs::exists(folder / "run"));
  check_refuses("train", "--show-batch a.jpg", 2, "must end in .png, got a.jpg");
  check_refuses("train", "--data-dir none --show-batch no/such/folder/a.png", 1, "no/such/folder/a.png");
}

TEST_CASE("make says whether there is Graphviz, and which package has it") {
  const Result r =
      run("bash -c '"
          "command() { if [ \"$*\" = \"-v dot\" ]; then return 1; fi; builtin command \"$@\"; };"
          ". ./.make/found.sh; echo wanted$wanted end'");
  CHECK_MESSAGE(contains(r.output, "✗ Graphviz "), r.output);
  CHECK(contains(r.output, " graphviz end\n"));
  if (run("command -v dot").status == 0) CHECK(contains(run(". ./.make/found.sh").output, "✓ Graphviz "));
}

TEST_CASE("train: --detect-anomaly names the op where a run that diverges first holds no number") {
  if (!have_data()) return;
  const TempFolder folder;
  const std::string flags = " --preset quick --num-blks 1 --max-steps 20 --batch-size 8 --threads 1 --output-dir ";
  const Result plain = run(program("train") + flags + (folder / "plain").string() + " --lr 1e6");
  INFO(plain.output);
  CHECK(plain.status == 1);
  CHECK(contains(plain.output, "diverged"));
  const Result watched = run(program("train") + flags + (folder / "watched").string() + " --lr 1e6 --detect-anomaly");
  INFO(watched.output);
  CHECK(watched.status == 1);
  CHECK(contains(watched.output, "train: [detect_anomaly] "));
  CHECK((contains(watched.output, " of blks.0.") || contains(watched.output, " after blks.0.") ||
         contains(watched.output, "parameter ") || contains(watched.output, "head.")));
  const Result healthy = run(program("train") + flags + (folder / "healthy").string() + " --lr 0.01 --detect-anomaly");
  CHECK(healthy.status == 0);
}

TEST_CASE(
    "train: --preset d2l-jax pads images, begins as Flax does, says so where it matters, and goes on to the bit") {
  const TempFolder folder;
  for (int i = 0; i < 24; ++i) {
    const fs::path path = folder / "data" / (i % 2 == 0 ? "dark" : "light") / (std::to_string(i) + ".png");
    fs::create_directories(path.parent_path());
    write_png(path, {1, 9, 10, std::vector<std::uint8_t>(90, static_cast<std::uint8_t>(i % 2 == 0 ? 20 : 200))});
  }
  const std::string flags = train +
                            " --preset d2l-jax --img-size 9 10 --patch-size 4 --num-hiddens 8 --mlp-num-hiddens 8 "
                            "--num-heads 2 --batch-size 4 --epochs 2 --data " +
                            (folder / "data").string() + " --output-dir " + (folder / "").string();
  const Result whole = run(flags + "whole");
  INFO(whole.output);
  CHECK(whole.status == 0);
  const auto config = nlohmann::json::parse(content(folder / "whole/config.json"));
  CHECK(config["flags"]["init"] == "flax");
  CHECK(config["model"]["patch_padding"] == "same");
  CHECK(config["model"]["activation"] == "gelu_tanh");
  CHECK(config["model"]["layer_norm_eps"].get<double>() == doctest::Approx(1e-6).scale(0));
  CHECK(!config["model"].contains("init"));

  CHECK(run(flags + "part --max-steps 3").status == 0);
  CHECK(run(train + " --resume " + (folder / "part").string() + " --max-steps 0").status == 0);
  CHECK(content(folder / "part/losses.csv") == content(folder / "whole/losses.csv"));
  check_refuses("train", "--resume " + (folder / "whole").string() + " --init pytorch", 1, "--init");

  const std::string classify = program("classify") + " " + (folder / "whole/best.safetensors").string() + " " +
                               (folder / "data/dark/0.png").string();
  CHECK(run(classify).status == 0);
  CHECK(run(classify + " --img-size 13x7").status == 0);  // of other sizes, too, padded
}

TEST_CASE("train: a folder of pictures, varied and normalised, trains an epoch; a run that is resumed does the same") {
  const TempFolder folder;
  const fs::path data = folder / "data";
  for (int i = 0; i < 30; ++i) {
    const fs::path path = data / (i % 2 == 0 ? "dark" : "light") / (std::to_string(i) + ".png");
    fs::create_directories(path.parent_path());
    write_png(path, {3, 10 + i, 12,
                     std::vector<std::uint8_t>(static_cast<std::size_t>(3 * (10 + i) * 12),
                                               static_cast<std::uint8_t>(i % 2 == 0 ? 20 : 200))});
  }
  const std::string flags = train +
                            " --preset quick --img-size 14 --patch-size 7 --batch-size 4 --hflip 0.5 --crop-padding 2 "
                            "--mean 0.4 --std 0.2 0.3 0.4 --epochs 1 --data " +
                            data.string() + " --output-dir " + (folder / "").string();
  const Result whole = run(flags + "whole");
  INFO(whole.output);
  CHECK(whole.status == 0);
  CHECK(contains(whole.output, "/data, 2 classes, 28 images to train on, 2 to validate, resized to 14 x 14"));
  CHECK(contains(whole.output, "  1.0000  "));  // the two validation images are right

  CHECK(run(flags + "part --max-steps 3").status == 0);
  const Result resumed = run(train + " --resume " + (folder / "part").string() + " --max-steps 0");
  INFO(resumed.output);
  CHECK(resumed.status == 0);
  CHECK(content(folder / "part/losses.csv") == content(folder / "whole/losses.csv"));

  write_png(data / "dark" / "more.png", {1, 1, 1, {0}});
  CHECK(contains(run(train + " --resume " + (folder / "whole").string() + " --epochs 2").output,
                 "the data are not those that the run began with"));
  std::ofstream(data / "dark" / "4.png") << "no picture";
  const Result broken = run(flags + "broken");
  CHECK(broken.status == 1);
  CHECK(contains(broken.output, "/data/dark/4.png\" is "));
}

TEST_CASE("train, evaluate, classify: bad pictures are listed before the work, or left out with --skip-bad") {
  const TempFolder folder;
  const auto path = [&](const std::string& name) { return (folder / name).string(); };
  write_dark_and_light(folder / "data");
  std::ofstream(folder / "data/dark/notes.txt") << "x";
  const std::string flags =
      " --model mlp --img-size 8 --num-hiddens 8 --batch-size 4 --epochs 2 --threads 1 --data " + path("data") + " ";
  const std::string model = path("run/model.safetensors");
  const Result good = run(train + flags + "--output-dir " + path("run"));
  INFO(good.output);
  REQUIRE(good.status == 0);
  CHECK(contains(good.output, "\n         to validate: every tenth picture of each class\n"));
  CHECK(contains(good.output, "\n         classes: dark, light\n         left out: 1 .txt\n"));

  const std::string half = content(folder / "data/dark/20.png").substr(0, 60);
  std::ofstream(folder / "data/dark/20.png") << half;
  std::ofstream(folder / "data/light/9.png") << "no picture";
  fs::remove(folder / "data/light/7.png");
  fs::create_symlink("none", folder / "data/light/7.png");
  const auto lists_all = [](const Result& r, int status) {
    INFO(r.output);
    CHECK(r.status == status);
    for (const char* said : {"3 of 40 pictures cannot be read", "dark/20.png\" ", "light/9.png\" ", "light/7.png\" "})
      CHECK_MESSAGE(contains(r.output, said), said);
  };
  const Result refused = run(train + flags + "--output-dir " + path("other"));
  lists_all(refused, 1);
  CHECK(contains(refused.output, "leave them out with --skip-bad"));
  CHECK(!fs::exists(folder / "other"));
  const Result skipped = run(train + flags + "--skip-bad --output-dir " + path("other"));
  INFO(skipped.output);
  CHECK(skipped.status == 0);
  CHECK(
      contains(skipped.output,
               "\n         left out: 3 of 40 pictures, which cannot be read: dark/20.png, light/7.png, light/9.png\n"));

  const std::string evaluate = program("evaluate") + " " + model + " --split train --data " + path("data");
  const Result judged = run(evaluate);
  INFO(judged.output);
  CHECK(judged.status == 1);
  CHECK(contains(judged.output, "of 36 pictures cannot be read"));
  CHECK(!contains(judged.output, "accuracy"));
  const Result rest = run(evaluate + " --skip-bad");
  INFO(rest.output);
  CHECK(rest.status == 0);
  CHECK(contains(rest.output, "pictures, which cannot be read: "));
  CHECK(contains(rest.output, "left out: 1 .txt\n"));

  const std::string classify = program("classify") + " " + model + " " + path("data") + " --format csv";
  const Result said = run(classify);
  lists_all(said, 1);
  CHECK(contains(said.output, "classify: left out in " + path("data") + ": 1 .txt\n"));
  CHECK(std::count(said.output.begin(), said.output.end(), '\n') == 1 + 4 + 1 + 2 * 37);
  lists_all(run(classify + " --skip-bad"), 0);
}

TEST_CASE("train: --resume goes on with data that have changed only if it is told to") {
  const TempFolder folder;
  const auto path = [&](const std::string& name) { return (folder / name).string(); };
  write_dark_and_light(folder / "data");
  REQUIRE(run(train +
              " --model mlp --img-size 8 --num-hiddens 8 --batch-size 4 --epochs 3 --max-steps 12 --threads 1 " +
              "--data " + path("data") + " --output-dir " + path("run"))
              .status == 0);
  const std::string resume = "--resume " + path("run") + " --max-steps 0";
  check_refuses("train", "--accept-changed-data --data " + path("data"), 1, "with --resume");
  std::ofstream(folder / "data/dark/20.png") << "no picture";
  check_refuses("train", resume, 1, "20.png\" is ");
  check_refuses("train", resume + " --skip-bad", 1, "--accept-changed-data goes on with them");
  check_refuses("train", resume + " --skip-bad", 1, "the data are not those that the run began with");
  fs::rename(folder / "data/dark", folder / "data/black");
  check_refuses("train", resume + " --skip-bad --accept-changed-data", 1, "other classes");
  fs::rename(folder / "data/black", folder / "data/dark");

  const Result on = run(train + " " + resume + " --skip-bad --accept-changed-data");
  INFO(on.output);
  CHECK(on.status == 0);
  CHECK(contains(on.output, "resumed  after step 12\n"));
  const std::string metrics = content(folder / "run/metrics.csv");
  CHECK(contains(metrics, "\n1,9,"));
  CHECK(contains(metrics, "\n3,27,"));  // 35 images, 9 steps
  // What it left out it still leaves out, and changes that come later are not accepted.
  CHECK(run(train + " --resume " + path("run") + " --epochs 4").status == 0);
  fs::remove(folder / "data/dark/22.png");
  check_refuses("train", "--resume " + path("run") + " --epochs 5", 1, "the data are not those");
}

TEST_CASE("train: Ctrl-C ends it after the step, with exit code 130 and the losses so far") {
  if (!have_data()) return;
  const TempFolder folder;
  const std::string out = (folder.path() / "run").string();
  const Result r = run(train + " --preset quick --epochs 1000 --output-dir " + out +
                       " & pid=$!; "
                       "for i in $(seq 100); do sleep 0.1; test -s " +
                       out +
                       "/metrics.csv && break; done; sleep 0.5; "
                       "kill -INT $pid; wait $pid");
  INFO(r.output);
  CHECK(r.status == 130);
  CHECK(contains(r.output, "stopped after step"));
  CHECK(fs::exists(out + "/losses.csv"));
}

TEST_CASE("train: a run that is resumed, and stopped in its next epoch, had something to do") {
  if (!have_data()) return;
  const TempFolder folder;
  const std::string out = (folder.path() / "run").string();
  REQUIRE(run(train + " --preset quick --train-share .2 --max-steps 188 --output-dir " + out).status == 0);
  const Result r =
      run(train + " --resume " + out +
          " --max-steps 0 & pid=$!; "
          "for i in $(seq 400); do [ $(ls " +
          out + "/events.out.* | wc -l) = 2 ] && break; sleep .05; done; sleep .3; kill -INT $pid; wait $pid");
  INFO(r.output);
  CHECK(r.status == 130);
  CHECK(contains(r.output, "stopped after step"));
  CHECK(!contains(r.output, "nothing was left to do"));
}

TEST_CASE("train: --preset d2l with --model is d2l's numbers for that model") {
  const auto help = [](const std::string& flags) { return run(train + " " + flags + " --help").output; };
  const std::string resnet = help("--model resnet18 --preset d2l");
  CHECK(contains(resnet, "--lr FLOAT=0.01"));
  CHECK(contains(resnet, "--momentum FLOAT=0 "));
  CHECK(contains(resnet, "--form {d2l,torchvision}=d2l"));
  CHECK(help("--model resnet18") == resnet);
  CHECK(contains(help("--preset d2l --model mlp"), "--num-hiddens INT=256"));
  CHECK(contains(help("--preset d2l --model lenet"), "--lr FLOAT=0.1"));
  CHECK(contains(help("--preset d2l"), "--lr FLOAT=0.1"));
  check_refuses("train", "--preset quick --model resnet18", 1,
                "the preset quick is for the model vit, not for resnet18");
}

TEST_CASE("train: a ResNet that is stopped goes on to the bit, and its weights begin another with a new head") {
  const TempFolder folder;
  write_dark_and_light(folder / "data");
  const std::string data = " --data-dir " + (folder / "data").string() + " --threads 1 --batch-size 4";
  for (const std::string form : {"d2l", "torchvision"}) {
    CAPTURE(form);
    const std::string whole = (folder / (form + "-whole")).string(), stopped = (folder / (form + "-stopped")).string();
    const std::string flags =
        train + data + " --model resnet18 --width 2 --img-size 33 --epochs 3 --form " + form + " --output-dir ";
    REQUIRE(run(flags + whole).status == 0);
    REQUIRE(run(flags + stopped + " --max-steps 4").status == 0);
    const fs::path model = fs::path(whole) / "model.safetensors";
    CHECK(content(fs::path(stopped) / "model.safetensors") != content(model));
    REQUIRE(run(train + " --max-steps 0 --resume " + stopped).status == 0);
    CHECK(content(fs::path(stopped) / "model.safetensors") == content(model));  // running statistics and all
    const Safetensors file = read_safetensors(model);
    const std::string norm = form == "d2l" ? "net.0.1." : "bn1.";
    CHECK(file.tensors.at(norm + "num_batches_tracked").item() > 4);
    CHECK(file.tensors.at(norm + "running_var").values() != std::vector<real>{1, 1});

    fs::create_directories(folder / "data" / "third");
    fs::copy_file(folder / "data" / "dark" / "0.png", folder / "data" / "third" / "0.png",
                  fs::copy_options::overwrite_existing);
    fs::copy_file(folder / "data" / "dark" / "2.png", folder / "data" / "third" / "2.png",
                  fs::copy_options::overwrite_existing);
    const std::string tuned = (folder / (form + "-tuned")).string();
    const Result r =
        run(train + data + " --lr 0.01 --epochs 1 --finetune " + model.string() + " --output-dir " + tuned);
    INFO(r.output);
    CHECK(r.status == 0);
    const std::string head = form == "d2l" ? "net.last.2.weight" : "fc.weight";
    CHECK(read_safetensors(fs::path(tuned) / "model.safetensors").tensors.at(head).shape() == Shape{3, 16});
    fs::remove_all(folder / "data" / "third");
  }
}
