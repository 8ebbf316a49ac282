#include "data/images/image.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/images/resize.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

Image resized(Image image, Size2 size, Interpolation interpolation) {
  image.bytes = resize(std::move(image.bytes), {image.height, image.width}, size, interpolation);
  image.height = size.height;
  image.width = size.width;
  return image;
}

// The smallest size with the picture's proportions that covers `target`. The other side is rounded down, as
// torchvision's Resize does for squares; for other targets to the nearest, as timm's ResizeKeepRatio.
Size2 covering(const Image& image, Size2 target) {
  const Index h = image.height, w = image.width;
  if (target.height != target.width) {
    const auto shares = [](Index side, Index to) { return static_cast<double>(side) / static_cast<double>(to); };
    const double ratio = std::min(shares(h, target.height), shares(w, target.width));
    return {std::lrint(static_cast<double>(h) / ratio), std::lrint(static_cast<double>(w) / ratio)};
  }
  return target.height * w >= target.width * h ? Size2(target.height, target.height * w / h)
                                               : Size2(target.width * h / w, target.width);
}

// The part of this size that lies in the middle. Of what is left over half lies before it: rounded to even as Python's
// round() does, or down.
Image centre(const Image& image, Size2 size, bool down) {
  const auto half = [=](Index left) { return down ? left / 2 : std::lrint(static_cast<double>(left) / 2); };
  const Index top = half(image.height - size.height), left = half(image.width - size.width);
  Image result{image.channels, size.height, size.width, {}};
  result.bytes.reserve(static_cast<std::size_t>(image.channels * size.height * size.width));
  for (Index c = 0; c < image.channels; ++c)
    for (Index y = 0; y < size.height; ++y) {
      const auto line = image.bytes.begin() + (c * image.height + top + y) * image.width + left;
      result.bytes.insert(result.bytes.end(), line, line + size.width);
    }
  return result;
}

}  // namespace

Image with_channels(Image image, Index channels) {
  if (image.channels == channels) return image;
  check((image.channels == 1 && channels == 3) || (image.channels == 3 && channels == 1), "with_channels",
        "a picture of ", image.channels, " channels cannot become one of ", channels, ": expected 1 and 3");
  const auto plane = static_cast<std::size_t>(image.height * image.width);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(channels) * plane);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = channels == 3 ? image.bytes[i % plane]
                             : luma(image.bytes[i], image.bytes[plane + i], image.bytes[2 * plane + i]);
  return {channels, image.height, image.width, std::move(bytes)};
}

Image fit(Image image, const Preprocess& preprocess) {
  const double share = preprocess.crop_pct;
  const Size2 size = preprocess.size;
  if (share == 0) return resized(std::move(image), size, preprocess.interpolation);
  check(share >= 0.1 && share <= 1, "fit", "crop_pct is 0 (no crop), or from 0.1 to 1, got ", share);
  const auto whole = [=](Index side) { return static_cast<Index>(std::floor(static_cast<double>(side) / share)); };
  const Size2 target(whole(size.height), whole(size.width));
  const Size2 uncut = preprocess.squash ? target : covering(image, target);
  return centre(resized(std::move(image), uncut, preprocess.interpolation), size, preprocess.crop_down);
}

Image thumbnail(Image image, Index longest) {
  check(longest >= 1, "thumbnail", "the longest side must have 1 pixel or more, got ", longest);
  const Index longer = std::max(image.height, image.width);
  if (longer <= longest) return image;
  const auto scaled = [=](Index side) { return std::max<Index>(1, (2 * side * longest + longer) / (2 * longer)); };
  return resized(std::move(image), {scaled(image.height), scaled(image.width)}, Interpolation::bilinear);
}

void to_numbers(const Image& image, const Preprocess& preprocess, real* out) {
  const auto channels = static_cast<std::size_t>(image.channels);
  const std::vector<real>&mean = preprocess.mean, &std = preprocess.std;
  check(mean.size() == std.size() && (mean.empty() || mean.size() == channels), "to_numbers", "there are ", mean.size(),
        " means and ", std.size(), " standard deviations for a picture of ", channels, " channels");
  const std::uint8_t* in = image.bytes.data();
  const Index plane = image.height * image.width;
  for (std::size_t c = 0; c < channels; ++c, in += plane, out += plane) {
    const real m = mean.empty() ? 0 : mean[c], s = mean.empty() ? 1 : std[c];
    check(s > 0, "to_numbers", "a standard deviation must be positive, got ", s);
    for (Index i = 0; i < plane; ++i) out[i] = (static_cast<real>(in[i]) / 255 - m) / s;
  }
}

Tensor to_tensor(const Image& image, const Preprocess& preprocess) {
  const Image fitted = fit(image, preprocess);
  Staging X({1, fitted.channels, fitted.height, fitted.width});
  to_numbers(fitted, preprocess, X.data());
  return std::move(X).tensor();
}

}  // namespace bobbin
