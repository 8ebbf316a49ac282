#include "apps/common/show_batch.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "data/drawing/contact_sheet.h"
#include "data/images/codec.h"

namespace bobbin {
namespace {

// The bytes of numbers (C, H, W): the inverse of to_numbers().
Image to_image(const real* numbers, const Shape& shape, const Preprocess& preprocess) {
  Image image{shape[1], shape[2], shape[3], {}};
  const Index plane = image.height * image.width;
  for (Index i = 0; i < image.channels * plane; ++i) {
    const auto c = static_cast<std::size_t>(i / plane);
    const real mean = preprocess.mean.empty() ? 0 : preprocess.mean[c],
               std = preprocess.std.empty() ? 1 : preprocess.std[c];
    image.bytes.push_back(
        static_cast<std::uint8_t>(std::lrint(std::clamp<real>((numbers[i] * std + mean) * 255, 0, 255))));
  }
  return image;
}

// The classes of a picture by its probabilities, the most probable first.
std::string classes(const real* p, const std::vector<std::string>& names) {
  std::vector<std::size_t> found;
  for (std::size_t c = 0; c < names.size(); ++c)
    if (p[c] > 0) found.push_back(c);
  std::stable_sort(found.begin(), found.end(), [=](std::size_t a, std::size_t b) { return p[a] > p[b]; });
  if (found.size() == 1) return names[found[0]];
  std::string text;
  for (const std::size_t c : found) {
    char share[16];
    std::snprintf(share, sizeof share, "%.2f ", static_cast<double>(p[c]));
    text += (text.empty() ? "" : "\n") + std::string(share) + names[c];
  }
  return text;
}

}  // namespace

void show_batch(const Batch& batch, const ImageDataset& data, const std::filesystem::path& file) {
  const std::vector<real> numbers = batch.images.values();
  const std::vector<real> targets = batch.targets ? batch.targets->values() : std::vector<real>();
  const Shape& shape = batch.images.shape();
  const Index count = std::min<Index>(shape[0], 256), picture = shape.size() / shape[0];
  std::vector<Image> pictures;
  std::vector<std::string> captions;
  for (Index i = 0; i < count; ++i) {
    pictures.push_back(to_image(numbers.data() + i * picture, shape, data.preprocess));
    const auto label = static_cast<std::size_t>(batch.labels[static_cast<std::size_t>(i)]);
    captions.push_back(batch.targets ? classes(targets.data() + i * data.num_classes(), data.class_names)
                                     : data.class_names[label]);
  }
  write_png(file, contact_sheet(pictures, captions, std::min<Index>(count, 16)));
}

}  // namespace bobbin
