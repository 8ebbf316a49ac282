#include "data/sets/open.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <utility>

#include "data/sets/cifar10.h"
#include "data/sets/fashion_mnist.h"
#include "data/sets/folder.h"
#include "data/sets/mnist.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;

bool has_any(const fs::path& dir, std::initializer_list<const char*> names) {
  std::error_code unreadable;
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return fs::exists(dir / name, unreadable); });
}

bool has_folder(const fs::path& dir) {
  std::error_code unreadable;
  const fs::directory_iterator entries(dir, unreadable);
  return std::any_of(begin(entries), end(entries), [&](const fs::directory_entry& entry) {
    return entry.is_directory(unreadable) && !entry.path().filename().string().starts_with('.');
  });
}

TrainAndTest read(const fs::path& dir, Index channels) {
  if (dir.empty()) return fashion_mnist();
  if (std::optional<TrainAndTest> data = idx_data(dir)) return std::move(*data);
  if (has_any(dir, {"FashionMNIST/raw"})) return fashion_mnist(dir);  // which says what is missing
  if (has_any(dir, {"data_batch_1.bin", "cifar-10-batches-bin"})) return cifar10(dir);
  check(!has_any(dir, {"cifar-10-batches-py", "data_batch_1"}), "image_data", dir,
        " has CIFAR-10 for Python; what is read is its binary version, cifar-10-binary.tar.gz");
  check(has_folder(dir), "image_data", "no data set in ", dir,
        ": it has neither Fashion-MNIST, MNIST or the like (train-images-idx3-ubyte or, in FashionMNIST/raw, what "
        "torchvision keeps), nor CIFAR-10 (data_batch_1.bin), nor folders with pictures, one for each class");
  return image_folder(dir, channels == 0 ? 3 : channels);
}

}  // namespace

TrainAndTest image_data(const fs::path& dir, Preprocess preprocess, Index channels) {
  TrainAndTest data = read(dir, channels);
  check(channels == 0 || data.train.channels == channels, "image_data", data.name, " has ", data.train.channels,
        " channels, and only pictures in folders can be read with another number, got ", channels);
  spread(preprocess, data.train.channels);
  data.train.preprocess = data.test.preprocess = preprocess;
  return data;
}

}  // namespace bobbin
