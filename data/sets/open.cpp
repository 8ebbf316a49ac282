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

void convert(ImageDataset& data, Index channels) {
  std::vector<std::uint8_t> images;
  images.reserve(data.images.size() / static_cast<std::size_t>(data.channels) * static_cast<std::size_t>(channels));
  for (Index i = 0; i < data.count(); ++i) {
    const Image image = with_channels(data.image(i), channels);
    images.insert(images.end(), image.bytes.begin(), image.bytes.end());
  }
  data.notes.push_back(channels == 3 ? "grey images, for a model of colours: three equal channels"
                                     : "images in colours, for a model of greys: their luma");
  data.images = std::move(images);
  data.channels = channels;
}

}  // namespace

TrainAndTest image_data(const fs::path& dir, Preprocess preprocess, Index channels, IfOther other) {
  TrainAndTest data = read(dir, channels);
  const bool as_wanted = channels == 0 || data.train.channels == channels;
  if (!as_wanted && other == IfOther::convert)
    for (ImageDataset* part : {&data.train, &data.test}) convert(*part, channels);
  check(as_wanted || other != IfOther::refuse, "image_data", data.name, " has ", data.train.channels,
        " channels, and only pictures in folders can be read with another number, got ", channels);
  if (as_wanted || other == IfOther::convert) spread(preprocess, data.train.channels);
  data.train.preprocess = data.test.preprocess = preprocess;
  return data;
}

}  // namespace bobbin
