#include "data/sets/dataset.h"

#include <sstream>
#include <utility>

#include "data/images/codec.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

// `where` says which file the labels are from, if they are from one.
void check_labels(const Labels& labels, std::size_t num_classes, const std::string& where) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    check(labels[i] >= 0 && static_cast<std::size_t>(labels[i]) < num_classes, "ImageDataset", "label ", labels[i],
          " at index ", i, where, ", there are ", num_classes, " classes");
}

}  // namespace

ImageDataset::ImageDataset(const Shape& shape, std::vector<std::uint8_t> images_, Labels labels_,
                           std::vector<std::string> class_names_)
    : channels(0), images(std::move(images_)), labels(std::move(labels_)), class_names(std::move(class_names_)) {
  check(shape.rank() == 4, "ImageDataset", "images have the shape (N, C, H, W), got ", shape);
  channels = shape[1];
  height = shape[2];
  width = shape[3];
  preprocess.size = {height, width};
  check(static_cast<Index>(images.size()) == shape.size(), "ImageDataset", "images of the shape ", shape, " have ",
        shape.size(), " bytes, got ", images.size());
  check(count() == shape[0], "ImageDataset", "there are ", shape[0], " images and ", count(), " labels");
  check_labels(labels, class_names.size(), "");
}

ImageDataset::ImageDataset(std::vector<std::filesystem::path> files_, Index channels, Labels labels_,
                           std::vector<std::string> class_names_)
    : channels(channels), files(std::move(files_)), labels(std::move(labels_)), class_names(std::move(class_names_)) {
  check(files.size() == labels.size(), "ImageDataset", "there are ", files.size(), " files and ", count(), " labels");
  check_labels(labels, class_names.size(), "");
}

Image ImageDataset::image(Index i) const {
  check(i >= 0 && i < count(), "ImageDataset", "there is no image ", i, " in a data set of ", count());
  if (!files.empty()) return read_image(files[static_cast<std::size_t>(i)], channels, !preprocess.no_exif);
  const Index size = channels * height * width;
  const auto first = images.begin() + i * size;
  return {channels, height, width, {first, first + size}};
}

ImageDataset make_image_dataset(IdxArray images, const IdxArray& labels, std::vector<std::string> class_names) {
  const Shape& shape = images.shape;
  check(shape.rank() == 3 || shape.rank() == 4, "ImageDataset", images.path, " holds an array of the shape ", shape,
        ", expected images (N, H, W) or (N, C, H, W)");
  check(labels.shape.rank() == 1, "ImageDataset", labels.path, " holds an array of the shape ", labels.shape,
        ", expected labels (N)");
  check(shape[0] == labels.shape[0], "ImageDataset", images.path, " has ", shape[0], " images, but ", labels.path,
        " has ", labels.shape[0], " labels");
  Labels numbers(labels.bytes.begin(), labels.bytes.end());
  std::ostringstream where;
  where << " of " << labels.path;
  check_labels(numbers, class_names.size(), where.str());
  const Index channels = shape.rank() == 4 ? shape[1] : 1;
  return ImageDataset({shape[0], channels, shape[-2], shape[-1]}, std::move(images.bytes), std::move(numbers),
                      std::move(class_names));
}

}  // namespace bobbin
