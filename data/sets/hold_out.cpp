#include "data/sets/hold_out.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "tensor/check.h"

namespace bobbin {

ImageDataset subset(const ImageDataset& data, const std::vector<Index>& which) {
  check(!which.empty(), "subset", "no image is asked for");
  const Index size = data.channels * data.height * data.width;
  std::vector<std::uint8_t> images;
  std::vector<std::filesystem::path> files;
  Labels labels;
  images.reserve(which.size() * static_cast<std::size_t>(size));
  for (const Index i : which) {
    check(i >= 0 && i < data.count(), "subset", "there is no image ", i, " in a data set of ", data.count());
    labels.push_back(data.labels[static_cast<std::size_t>(i)]);
    if (data.files.empty())
      images.insert(images.end(), data.images.begin() + i * size, data.images.begin() + (i + 1) * size);
    else
      files.push_back(data.files[static_cast<std::size_t>(i)]);
  }
  const auto count = static_cast<Index>(which.size());
  ImageDataset part = data.files.empty()
                          ? ImageDataset({count, data.channels, data.height, data.width}, std::move(images),
                                         std::move(labels), data.class_names)
                          : ImageDataset(std::move(files), data.channels, std::move(labels), data.class_names);
  part.preprocess = data.preprocess;
  part.notes = data.notes;
  return part;
}

namespace {

// The numbers of the images that stay, and of those that are held out.
std::pair<std::vector<Index>, std::vector<Index>> divide(const ImageDataset& data, double fraction, Rng rng) {
  std::vector<std::vector<Index>> of_class(data.class_names.size());
  for (Index i = 0; i < data.count(); ++i)
    of_class[static_cast<std::size_t>(data.labels[static_cast<std::size_t>(i)])].push_back(i);
  std::vector<Index> kept, held_out;
  for (const std::vector<Index>& images : of_class) {
    const auto count = static_cast<Index>(images.size());
    const Index out =
        std::min<Index>(std::llround(static_cast<double>(count) * fraction), std::max<Index>(count - 1, 0));
    const std::vector<Index> order = rng.permutation(count);
    for (Index i = 0; i < count; ++i)
      (i < out ? held_out : kept).push_back(images[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])]);
  }
  std::sort(kept.begin(), kept.end());
  std::sort(held_out.begin(), held_out.end());
  return {kept, held_out};
}

}  // namespace

std::pair<ImageDataset, ImageDataset> hold_out(const ImageDataset& data, double fraction, Rng rng) {
  check(fraction > 0 && fraction < 1, "hold_out", "the fraction must be above 0 and below 1, got ", fraction);
  const auto [kept, held_out] = divide(data, fraction, rng);
  check(!held_out.empty(), "hold_out", fraction, " of the images of each of ", data.num_classes(), " classes, ",
        data.count(), " in all, are none: nothing to validate on");
  return {subset(data, kept), subset(data, held_out)};
}

ImageDataset share_of(const ImageDataset& data, double share, Rng rng) {
  check(share > 0 && share < 1, "share_of", "the share must be above 0 and below 1, got ", share);
  return subset(data, divide(data, 1 - share, rng).first);
}

}  // namespace bobbin
