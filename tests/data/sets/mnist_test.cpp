#include "data/sets/mnist.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "data/sets/open.h"
#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

const std::vector<std::string> usual{"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                     "t10k-labels-idx1-ubyte"};
const std::vector<std::string> digits{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

// 12 images of 4 x 3 to train on, 5 to test; labels up to `highest`.
void write_set(const fs::path& folder, const std::vector<std::string>& names, std::uint8_t highest = 9) {
  fs::create_directories(folder);
  const auto write = [&](std::size_t i, Bytes content) {
    write_file(folder / names[i], names[i].ends_with(".gz") ? gzip(content) : content);
  };
  write(0, idx({12, 4, 3}, noise(12 * 12)));
  write(1, idx({12}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, highest, 0}));
  write(2, idx({5, 4, 3}, noise(5 * 12)));
  write(3, idx({5}, {0, 1, 2, 3, 4}));
}

void check_is_read(const fs::path& dir, const std::string& name, const std::vector<std::string>& class_names) {
  CAPTURE(dir);
  const TrainAndTest data = image_data(dir, {});
  CHECK(data.name == name);
  CHECK(data.train.count() == 12);
  CHECK(data.test.count() == 5);
  CHECK(data.train.images == noise(12 * 12));
  CHECK(data.test.labels == Labels{0, 1, 2, 3, 4});
  CHECK(data.train.class_names == class_names);
  CHECK(data.test.class_names == class_names);
}

}  // namespace

TEST_CASE("idx_data: MNIST and KMNIST where torchvision keeps them, packed or not, under any of their names") {
  const TempFolder folder;
  const std::vector<std::string> syllables{"o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"};
  write_set(folder / "a/MNIST/raw", usual);
  for (const char* dir : {"a/MNIST/raw", "a/MNIST/raw/", "a/MNIST", "a"}) check_is_read(folder / dir, "MNIST", digits);
  write_set(folder / "b/KMNIST/raw", {usual[0] + ".gz", usual[1], usual[2] + ".gz", usual[3] + ".gz"});
  for (const char* dir : {"b/KMNIST/raw", "b/KMNIST", "b"}) check_is_read(folder / dir, "KMNIST", syllables);

  int i = 0;
  for (const std::vector<std::string>& names : std::vector<std::vector<std::string>>{
           usual,
           {"train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"},
           {"train_images.idx", "train_labels.idx", "test_images.idx", "test_labels.idx"},
           {"Train-Images-IDX3-UByte.GZ", usual[1], usual[2], "t10k-labels.idx1-ubyte.gz"},
           {"emnist-digits-train-images-idx3-ubyte.gz", "emnist-digits-train-labels-idx1-ubyte.gz",
            "emnist-digits-test-images-idx3-ubyte.gz", "emnist-digits-test-labels-idx1-ubyte.gz"}}) {
    const fs::path dir = folder / ("named" + std::to_string(++i));
    std::vector<std::string> as_written = names;
    if (i == 4) as_written[0] = "Train-Images-IDX3-UByte";
    write_set(dir, as_written);
    check_is_read(dir, dir.string(), digits);
  }

  // Each file in a folder of its name, and both kinds of names at once, as in a much used archive.
  write_set(folder / "mnist", usual);
  for (const std::string& name : usual) {
    fs::rename(folder / "mnist" / name, folder / "x");
    fs::create_directories(folder / "mnist" / name);
    fs::rename(folder / "x", folder / "mnist" / name / name);
  }
  check_is_read(folder / "mnist", "MNIST", digits);
  write_set(folder / "mnist",
            {"train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"});
  check_is_read(folder / "mnist", "MNIST", digits);
}

TEST_CASE("idx_data: classes have names only where these are known") {
  const TempFolder folder;
  write_set(folder / "some", usual, 12);
  const TrainAndTest some = image_data(folder / "some", {});
  CHECK(some.train.num_classes() == 13);
  CHECK(some.train.class_names.back() == "12");
  REQUIRE(some.train.notes.size() == 1);
  CHECK(some.train.notes[0] == "classes: numbers from 0 to 12, for the files do not say what they are");

  // Clothes are what was published, and nothing else.
  write_set(folder / "FashionMNIST/raw", usual);
  for (const char* dir : {"FashionMNIST", ""})
    CHECK(fails([&] { image_data(folder / dir, {}); }, {"train-images-idx3-ubyte\" is not of Fashion-MNIST"}));
  CHECK(!idx_data(folder / "none"));
}

TEST_CASE("idx_data: what is missing, more than one set, or does not fit is refused") {
  const TempFolder folder;
  const auto refuses = [&](const std::vector<std::string>& parts) {
    return fails([&] { image_data(folder.path(), {}); }, parts);
  };
  write_set(folder / "MNIST/raw", usual);
  fs::remove(folder / "MNIST/raw" / usual[3]);
  CHECK(refuses({"t10k-images-idx3-ubyte\" is one of four files", "no t10k-labels-idx1-ubyte beside it"}));
  write_set(folder / "MNIST/raw", usual);
  write_set(folder / "KMNIST/raw", usual);
  CHECK(refuses({"holds several data sets, expected one: ", "MNIST/raw"}));
  fs::remove_all(folder / "KMNIST");
  write_file(folder / "MNIST/raw" / usual[2], idx({5, 3, 4}, noise(60)));
  CHECK(refuses({"has images of the shape (1, 4, 3), but ", " of (1, 3, 4)"}));
  write_file(folder / "MNIST/raw" / usual[2], idx({4, 4, 3}, noise(48)));
  CHECK(refuses({"has 4 images, but ", "has 5 labels"}));
}
