#include "data/sets/open.h"

#include <doctest/doctest.h>

#include <string>

#include "data/images/codec.h"
#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

TEST_CASE("image_data: tells data sets by what is in their folder") {
  const TempFolder folder;
  const auto refuses = [&](const std::vector<std::string>& parts) {
    return fails([&] { image_data(folder.path(), {}); }, parts);
  };
  CHECK(refuses({"[image_data] no data set in ", folder.path().string(), "Fashion-MNIST", "CIFAR-10", "folders"}));
  CHECK(fails([&] { image_data(folder / "none", {}); }, {"no data set in", (folder / "none").string()}));

  for (int i = 0; i < 10; ++i) {
    for (const char* name : {"cat", "dog"}) {
      fs::create_directories(folder / name);
      write_png(folder / name / (std::to_string(i) + ".png"), {1, 1, 1, {9}});
    }
  }
  const Preprocess preprocess{{8, 6}, Interpolation::bicubic, 0.9, {real(0.5)}, {real(0.25)}};
  const TrainAndTest pictures = image_data(folder.path(), preprocess);
  CHECK(pictures.train.class_names == std::vector<std::string>{"cat", "dog"});
  for (const ImageDataset* data : {&pictures.train, &pictures.test}) {
    CHECK(data->channels == 3);
    CHECK(data->preprocess.size == Size2(8, 6));
    CHECK(data->preprocess.crop_pct == 0.9);
    CHECK(data->preprocess.mean == std::vector<real>(3, real(0.5)));
    CHECK(data->preprocess.std == std::vector<real>(3, real(0.25)));
  }
  CHECK(image_data(folder.path(), preprocess, 1).train.preprocess.mean == std::vector<real>{real(0.5)});

  fs::create_directory(folder / "cifar-10-batches-py");
  CHECK(refuses({"CIFAR-10 for Python"}));
  Bytes record(3073);
  for (const char* name : {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                           "data_batch_5.bin", "test_batch.bin"})
    write_file(folder / name, record);
  const TrainAndTest cifar = image_data(folder.path(), {});
  CHECK(cifar.name == "CIFAR-10");
  CHECK(cifar.train.preprocess.size == Size2(96));
  CHECK(fails([&] { image_data(folder.path(), {}, 1); }, {"CIFAR-10 has 3 channels", "got 1"}));

  write_file(folder / "train-images-idx3-ubyte", {0});
  CHECK(refuses({"[idx_data]", "there is no train-labels-idx1-ubyte, t10k-images-idx3-ubyte"}));
}
