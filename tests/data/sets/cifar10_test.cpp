#include "data/sets/cifar10.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

const char* const train_files[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                   "data_batch_5.bin"};

// One record of each class that is given; its pixels begin with `first`.
Bytes records(const Bytes& classes, std::uint8_t first) {
  Bytes bytes;
  for (const std::uint8_t label : classes) {
    bytes.push_back(label);
    Bytes pixels = noise(3072);
    pixels[0] = first;
    bytes.insert(bytes.end(), pixels.begin(), pixels.end());
  }
  return bytes;
}

void write_cifar10(const fs::path& dir) {
  std::uint8_t number = 0;
  for (const char* name : train_files) {
    write_file(dir / name, records({number, static_cast<std::uint8_t>(9 - number)}, number));
    ++number;
  }
  write_file(dir / "test_batch.bin", records({3, 1, 4}, 77));
}

}  // namespace

TEST_CASE("cifar10: its six files become two data sets") {
  const TempFolder folder;
  fs::create_directory(folder / "cifar-10-batches-bin");
  for (const fs::path& dir : {folder.path(), folder / "cifar-10-batches-bin"}) {
    if (dir == folder.path()) continue;
    write_cifar10(dir);
    for (const fs::path& given : {folder.path(), dir}) {
      const TrainAndTest data = cifar10(given);
      CHECK(data.train.labels == Labels{0, 9, 1, 8, 2, 7, 3, 6, 4, 5});
      CHECK(data.test.labels == Labels{3, 1, 4});
      CHECK(data.train.channels == 3);
      CHECK(Size2(data.train.height, data.train.width) == Size2(32));
      CHECK(data.train.preprocess.size == Size2(32));
      CHECK(data.train.class_names[9] == "truck");
      CHECK(data.test.num_classes() == 10);
      Bytes pixels = noise(3072);  // red, green and blue stay one after the other
      pixels[0] = 2;
      CHECK(data.train.image(5).bytes == pixels);
    }
  }
}

TEST_CASE("cifar10: class names come from batches.meta.txt, if it is there") {
  const TempFolder folder;
  write_cifar10(folder.path());
  const auto meta = [&](const std::string& text) {
    write_file(folder / "batches.meta.txt", Bytes(text.begin(), text.end()));
    return cifar10(folder.path()).test.class_names;
  };
  CHECK(meta("a\nb\nc d\ne\nf\ng\nh\ni\nj\r\nk\n\n") ==
        std::vector<std::string>{"a", "b", "c d", "e", "f", "g", "h", "i", "j", "k"});
  CHECK(meta("\xef\xbb\xbf"
             "a\r\nb\r\nc\r\nd\r\ne\r\nf\r\ng\r\nh\r\ni\r\nj") ==
        std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"});
  CHECK(fails([&] { meta("a\nb\n"); }, {"batches.meta.txt\" has 2 lines, expected the names of 10 classes"}));
  CHECK(fails([&] { meta("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n"); }, {"has more than 10 lines"}));
}

TEST_CASE("cifar10: files that are cut off, wrong or not there are named") {
  const TempFolder folder;
  write_cifar10(folder.path());
  const fs::path third = folder / "data_batch_3.bin";
  const auto refuses = [&](const Bytes& content, const std::string& why) {
    write_file(third, content);
    return fails([&] { cifar10(folder.path()); }, {third.string(), why});
  };
  const Bytes whole = records({1, 2}, 0);
  for (std::size_t size = 1; size<whole.size(); size += size % 3073> 4 && size % 3073 < 3060 ? 500 : 1)
    if (size != 3073)
      CHECK(refuses({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)},
                    " has " + std::to_string(size) + " bytes, expected a multiple of 3073"));
  CHECK(refuses({}, "is empty"));
  CHECK(refuses(records({0, 10}, 0), "has the class 10 in record 1, expected 0 to 9"));
  fs::remove(third);
  CHECK(fails([&] { cifar10(folder.path()); }, {third.string(), "No such file"}));
}
