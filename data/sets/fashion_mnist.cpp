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
constexpr File published[] = {{"train-images-idx3-ubyte", 60000 * 28 * 28, 0xb4f29f28},
                              {"train-labels-idx1-ubyte", 60000, 0x741a4657},
                              {"t10k-images-idx3-ubyte", 10000 * 28 * 28, 0x678fe0b1},
                              {"t10k-labels-idx1-ubyte", 10000, 0x80142c1f}};

bool is(const IdxArray& array, const File& file) { return array.shape.size() == file.values && array.crc == file.crc; }

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
    for (const File& file : published)
      if (!absent && find(folder, file).empty()) absent = &file;
    if (!absent) return folder;
    missing << (missing.str().empty() ? "" : " and ") << "no " << absent->name << "[.gz] in " << folder;
  }
  fail("fashion_mnist", "the data set is not there: ", missing.str(),
       "; `make data` fetches it, or install Debian's package dataset-fashion-mnist");
}

ImageDataset make(IdxArray images, const IdxArray& labels, Size2 resize) {
  ImageDataset data = make_image_dataset(
      std::move(images), labels,
      {"t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"});
  data.preprocess.size = resize;
  return data;
}

}  // namespace

bool any_is_fashion_mnist(const IdxFiles& files) {
  bool any = false;
  for (std::size_t i = 0; i < files.size(); ++i) any |= is(files[i], published[i]);
  return any;
}

FashionMnist make_fashion_mnist(IdxFiles files, const FashionMnistOptions& options) {
  for (std::size_t i = 0; i < files.size(); ++i)
    check(is(files[i], published[i]), "fashion_mnist", files[i].path, " is not of Fashion-MNIST: it has ",
          files[i].shape.size(), " values and the CRC-32 ", hex(files[i].crc), ", expected ", published[i].values,
          " and ", hex(published[i].crc), " (the digits of MNIST have the same file names)");
  return {.train = make(std::move(files[0]), files[1], options.resize),
          .test = make(std::move(files[2]), files[3], options.resize),
          .name = "Fashion-MNIST"};
}

FashionMnist fashion_mnist(const fs::path& dir, const FashionMnistOptions& options) {
  const auto raw = fs::path("FashionMNIST") / "raw";
  const fs::path folder =
      find_folder(dir.empty() ? std::vector<fs::path>{"datasets" / raw, "/usr/share/datasets/fashion-mnist"}
                              : std::vector<fs::path>{dir, dir / raw});
  IdxFiles files;
  for (std::size_t i = 0; i < files.size(); ++i) files[i] = read_idx(find(folder, published[i]));
  return make_fashion_mnist(std::move(files), options);
}

}  // namespace bobbin
