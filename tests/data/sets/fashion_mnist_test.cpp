#include "data/sets/fashion_mnist.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tensor/check.h"
#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
using doctest::Contains;
namespace fs = std::filesystem;

namespace {

const fs::path debian = "/usr/share/datasets/fashion-mnist";
const char* const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                             "t10k-labels-idx1-ubyte"};

}  // namespace

TEST_CASE("Fashion-MNIST is what was published") {
  if (!fs::exists(debian)) {
    MESSAGE("skipped: Debian's package dataset-fashion-mnist is not installed");
    return;
  }
  const auto [train, test, name] = fashion_mnist(debian, {.resize = 96});
  CHECK(name == "Fashion-MNIST");
  CHECK(train.count() == 60000);
  CHECK(test.count() == 10000);
  CHECK(train.images.size() == 60000 * 28 * 28);
  CHECK(Labels(train.labels.begin(), train.labels.begin() + 10) == Labels{9, 0, 0, 3, 0, 2, 7, 2, 5, 5});
  CHECK(Labels(test.labels.begin(), test.labels.begin() + 10) == Labels{9, 2, 1, 1, 6, 1, 4, 6, 5, 7});
  for (int label = 0; label < 10; ++label) {
    CHECK(std::count(train.labels.begin(), train.labels.end(), label) == 6000);
    CHECK(std::count(test.labels.begin(), test.labels.end(), label) == 1000);
  }
  CHECK(train.class_names[9] == "ankle boot");
  CHECK(train.num_classes() == 10);
  CHECK(test.channels == 1);
  CHECK(test.height == 28);
  CHECK(test.width == 28);
  CHECK(train.preprocess.size == Size2(96, 96));
  CHECK(test.preprocess.size == Size2(96, 96));

  // torchvision's layout, some files unpacked and some not; the options left out.
  const TempFolder folder;
  const fs::path raw = folder / "FashionMNIST" / "raw";
  fs::create_directories(raw);
  for (const std::string name : names) fs::create_symlink(debian / (name + ".gz"), raw / (name + ".gz"));
  fs::remove(raw / "t10k-labels-idx1-ubyte.gz");
  write_file(raw / "t10k-labels-idx1-ubyte", idx({10000}, Bytes(test.labels.begin(), test.labels.end())));
  const FashionMnist other = fashion_mnist(folder.path());
  CHECK(other.train.images == train.images);
  CHECK(other.test.labels == test.labels);
  CHECK(other.test.preprocess.size == Size2(28, 28));

  // One pixel is not what it should be.
  Bytes images = test.images;
  images[12345] ^= 1;
  fs::remove(raw / "t10k-images-idx3-ubyte.gz");
  write_file(raw / "t10k-images-idx3-ubyte", idx({10000, 28, 28}, images));
  CHECK_THROWS_WITH_AS(fashion_mnist(raw), Contains("expected 7840000 and 0x678fe0b1"), Error);
}

TEST_CASE("where Fashion-MNIST is not found, the error says where it was looked for and how to get it") {
  const TempFolder folder;
  const auto message = [&]() -> doctest::String {
    try {
      fashion_mnist(folder.path());
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message() == Contains(("no train-images-idx3-ubyte[.gz] in \"" + folder.path().string() + "\"").c_str()));
  CHECK(message() ==
        Contains("FashionMNIST/raw\"; `make data` fetches it, or install Debian's package dataset-fashion-mnist"));

  for (const std::string name : names) {
    if (name == names[2]) break;
    write_file(folder / name, {});
  }
  CHECK(message() == Contains(("no t10k-images-idx3-ubyte[.gz] in \"" + folder.path().string() + "\"").c_str()));
  CHECK_THROWS_WITH_AS(fashion_mnist("/nowhere"), Contains("in \"/nowhere/FashionMNIST/raw\""), Error);
}

TEST_CASE("another data set under Fashion-MNIST's names is refused") {
  const TempFolder folder;
  for (const std::string name : names)
    write_file(folder / name,
               name.find("images") == std::string::npos ? idx({3}, {1, 2, 3}) : idx({3, 2, 2}, noise(12)));
  CHECK_THROWS_WITH_AS(
      fashion_mnist(folder.path()),
      Contains("train-images-idx3-ubyte\" is not of Fashion-MNIST: it has 12 values and the CRC-32 0x"), Error);
  CHECK_THROWS_WITH_AS(fashion_mnist(folder.path()), Contains("expected 47040000 and 0xb4f29f28"), Error);
}
