#pragma once
#include <vector>

#include "data/files/fields.h"
#include "tensor/size2.h"

namespace bobbin {

/// How pixels in between are computed: from 2x2 neighbours, or from 4x4.
enum class Interpolation { bilinear, bicubic };

/// Preprocessing of a picture for a model: size, crop and normalisation.
struct Preprocess {
  Size2 size = 96;  ///< of what the model sees, in pixels
  Interpolation interpolation = Interpolation::bilinear;
  /// 0: the picture is squashed to `size`, as d2l does. Otherwise from 0.1 to 1, the share that is kept: the
  /// picture is resized, its proportions kept, until it just covers floor(size / crop_pct), and `size` is cut out of
  /// its centre, as timm and torchvision do.
  double crop_pct = 0;
  std::vector<real> mean{}, std{};  ///< one a channel: (number - mean) / std; empty: numbers stay from 0 to 1
  /// With a crop_pct: resized to floor(size / crop_pct) whatever its proportions, as transformers does for DeiT.
  bool squash = false;
  /// Of a cut that leaves an odd number of pixels, fewer lie before it, as transformers has it; else as torchvision
  /// and timm, which round half of them to even.
  bool crop_down = false;
  bool no_exif = false;  ///< files are read as their pixels lie, not turned as their Exif says

  void fields(Fields& f) {
    f("interpolation", interpolation,
      {.help = "interpolation when images are resized", .choices = {"bilinear", "bicubic"}, .fixed = true});
    f("crop_pct", crop_pct,
      {.help = "share of an image's shorter side that the center crop keeps, 0.1 to 1; 0: squash, do not crop",
       .low = 0,
       .high = 1,
       .fixed = true});
    f("squash", squash, {.flag = "", .may_lack = true});
    f("crop_down", crop_down, {.flag = "", .may_lack = true});
    f("no_exif", no_exif,
      {.help = "leave images as their pixels lie in the file; otherwise they are turned as their EXIF orientation says "
               "(TIFF always is)",
       .fixed = true,
       .may_lack = true});
    f("mean", mean,
      {.help = "mean to subtract from pixel values in 0 to 1: one, or one per channel",
       .low = -1e6,
       .high = 1e6,
       .fixed = true});
    f("std", std,
      {.help = "standard deviation to divide by: one, or one per channel", .low = 1e-6, .high = 1e6, .fixed = true});
  }
};

/// Makes a single mean, and a single std, the one of each channel.
inline void spread(Preprocess& preprocess, Index channels) {
  for (std::vector<real>* numbers : {&preprocess.mean, &preprocess.std})
    if (numbers->size() == 1) numbers->assign(static_cast<std::size_t>(channels), numbers->front());
}

}  // namespace bobbin
