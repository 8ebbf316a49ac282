#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/files/idx.h"
#include "data/images/image.h"
#include "tensor/tensor.h"

namespace bobbin {

/// Images with their classes. They are in memory, all of one size, as bytes: 60,000 images of 28 x 28 take 47 MB; as
/// floats of 96 x 96 they would take 2.2 GB, so they become that only a batch at a time. Or they are picture files of
/// any sizes, and are read each time that they are wanted.
struct ImageDataset {
  /// `images` has the shape (N, C, H, W), `labels` N numbers from 0 to class_names.size() - 1.
  /// Throws Error if they do not fit together.
  ImageDataset(const Shape& shape, std::vector<std::uint8_t> images, Labels labels,
               std::vector<std::string> class_names);
  /// Files that read_image() reads, with 1 channel or 3. Throws Error if there is not one label for each.
  ImageDataset(std::vector<std::filesystem::path> files, Index channels, Labels labels,
               std::vector<std::string> class_names);

  /// The number of images, and of classes.
  Index count() const { return static_cast<Index>(labels.size()); }
  Index num_classes() const { return static_cast<Index>(class_names.size()); }
  /// The i-th image, in its own size. Throws Error unless 0 <= i < count(), and where read_image() does.
  Image image(Index i) const;

  Index channels, height = 0, width = 0;     ///< files: height and width are 0
  Preprocess preprocess;                     ///< how they become numbers in a batch; in memory: at first in their size
  std::vector<std::uint8_t> images;          ///< (N, C, H, W), 0 is black, 255 is white; files: empty
  std::vector<std::filesystem::path> files;  ///< (N); in memory: empty
  Labels labels;                             ///< (N)
  std::vector<std::string> class_names;
  std::vector<std::string> notes{};  ///< what people should know of how it was made, for the first lines of a program
};

/// A data set: its training and test images.
struct TrainAndTest {
  ImageDataset train, test;
  std::string name;  ///< for people
};

/// The data set of two IDX files: images (N, H, W) or (N, C, H, W), and labels (N).
/// Throws Error, which names the file, if they do not fit together.
ImageDataset make_image_dataset(IdxArray images, const IdxArray& labels, std::vector<std::string> class_names);

}  // namespace bobbin
