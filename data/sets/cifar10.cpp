#include "data/sets/cifar10.h"

#include <cctype>
#include <string>
#include <utility>
#include <vector>

#include "data/files/read_file.h"
#include "tensor/check.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t image_bytes = 3 * 32 * 32, record = 1 + image_bytes;

std::vector<std::string> read_class_names(const fs::path& folder) {
  const fs::path path = folder / "batches.meta.txt";
  if (!fs::exists(path))
    return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  std::vector<std::string> names;
  const std::vector<std::uint8_t> text = read_file("cifar10", path, 1 << 16);
  for (std::string line : lines_of(std::string(text.begin(), text.end()))) {
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  check(names.size() == 10, "cifar10", path, " has ", names.size() > 10 ? "more than 10" : std::to_string(names.size()),
        " lines, expected the names of 10 classes");
  return names;
}

ImageDataset read(const fs::path& folder, const std::vector<std::string>& files) {
  std::vector<std::uint8_t> images;
  Labels labels;
  for (const std::string& name : files) {
    const fs::path path = folder / name;
    const std::vector<std::uint8_t> bytes = read_file("cifar10", path, std::uintmax_t{1} << 30);
    check(bytes.size() % record == 0, "cifar10", path, " has ", bytes.size(), " bytes, expected a multiple of ", record,
          ": a class and 32 x 32 pixels in three colours");
    images.reserve(images.size() + bytes.size());
    for (auto at = bytes.begin(); at != bytes.end(); at += record) {
      check(*at < 10, "cifar10", path, " has the class ", int{*at}, " in record ",
            static_cast<std::size_t>(at - bytes.begin()) / record, ", expected 0 to 9");
      labels.push_back(*at);
      images.insert(images.end(), at + 1, at + record);
    }
  }
  const Shape shape{static_cast<Index>(labels.size()), 3, 32, 32};
  return ImageDataset(shape, std::move(images), std::move(labels), read_class_names(folder));
}

}  // namespace

TrainAndTest cifar10(const fs::path& dir) {
  const fs::path inside = dir / "cifar-10-batches-bin", folder = fs::exists(inside) ? inside : dir;
  std::vector<std::string> train;
  for (const char* number : {"1", "2", "3", "4", "5"}) train.push_back(std::string("data_batch_") + number + ".bin");
  return {.train = read(folder, train), .test = read(folder, {"test_batch.bin"}), .name = "CIFAR-10"};
}

}  // namespace bobbin
