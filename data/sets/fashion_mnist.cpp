#include "data/sets/fashion_mnist.h"

#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "data/files/idx.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;

// What was published. The checksum is that of the uncompressed file, because whoever packs the data
// set compresses it anew.
struct File {
  const char* name;
  Index values;
  std::uint32_t crc;
};
constexpr File train_images{"train-images-idx3-ubyte", 60000 * 28 * 28, 0xb4f29f28};
constexpr File train_labels{"train-labels-idx1-ubyte", 60000, 0x741a4657};
constexpr File test_images{"t10k-images-idx3-ubyte", 10000 * 28 * 28, 0x678fe0b1};
constexpr File test_labels{"t10k-labels-idx1-ubyte", 10000, 0x80142c1f};

// The file in the folder, with or without .gz; nothing if there is neither.
fs::path find(const fs::path& folder, const File& file) {
  for (const char* ending : {"", ".gz"}) {
    fs::path path = folder / (std::string(file.name) + ending);
    std::error_code unreadable;
    if (fs::exists(path, unreadable)) return path;
  }
  return {};
}

// The first of the folders that has all four files.
fs::path find_folder(const std::vector<fs::path>& folders) {
  std::ostringstream missing;
  for (const fs::path& folder : folders) {
    const File* absent = nullptr;
    for (const File* file : {&train_images, &train_labels, &test_images, &test_labels})
      if (!absent && find(folder, *file).empty()) absent = file;
    if (!absent) return folder;
    missing << (missing.str().empty() ? "" : " and ") << "no " << absent->name << "[.gz] in " << folder;
  }
  fail("fashion_mnist", "the data set is not there: ", missing.str(),
       "; `make data` fetches it, or install Debian's package dataset-fashion-mnist");
}

IdxArray read(const fs::path& folder, const File& file) {
  IdxArray array = read_idx(find(folder, file));
  check(array.shape.size() == file.values && array.crc == file.crc, "fashion_mnist", array.path,
        " is not of Fashion-MNIST: it has ", array.shape.size(), " values and the CRC-32 ", hex(array.crc),
        ", expected ", file.values, " and ", hex(file.crc), " (the digits of MNIST have the same file names)");
  return array;
}

ImageDataset read(const fs::path& folder, const File& images, const File& labels, Size2 resize) {
  IdxArray pixels = read(folder, images);
  ImageDataset data = make_image_dataset(
      std::move(pixels), read(folder, labels),
      {"t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"});
  data.preprocess.size = resize;
  return data;
}

}  // namespace

FashionMnist fashion_mnist(const fs::path& dir, const FashionMnistOptions& options) {
  const auto raw = fs::path("FashionMNIST") / "raw";
  const fs::path folder =
      find_folder(dir.empty() ? std::vector<fs::path>{"datasets" / raw, "/usr/share/datasets/fashion-mnist"}
                              : std::vector<fs::path>{dir, dir / raw});
  return {.train = read(folder, train_images, train_labels, options.resize),
          .test = read(folder, test_images, test_labels, options.resize),
          .name = "Fashion-MNIST"};
}

}  // namespace bobbin
