// Data augmentation: training pictures cut, flipped, moved, changed and partly erased at random.
#pragma once
#include "data/files/fields.h"
#include "data/images/image.h"
#include "data/images/preprocess.h"
#include "tensor/rng.h"

namespace bobbin {

/// Which pictures are flipped: each time with the same probability; or those of the first epoch, and from then on each
/// picture every second time, so that two epochs show both sides of each (Jordan, "94% on CIFAR-10 in 3.29 seconds",
/// 2024).
enum class FlipMode { random, alternate };
/// What a picture that has moved leaves free: black, or the picture mirrored at its border, whose own pixels come once.
enum class CropMode { constant, reflect };
/// What is put into an erased rectangle, in the numbers that the model sees: 0, which is the mean where one is
/// subtracted, or a number of the standard normal distribution for each pixel and channel.
enum class EraseMode { constant, pixel };
/// Operations drawn for each picture: rand_augment(), timm_rand_augment(), trivial_augment_wide().
enum class AutoAugment { none, rand_augment, timm_rand_augment, trivial_augment_wide };

/// Augmentation of training pictures, drawn anew each time that they are seen.
struct Augmentation {
  double hflip = 0;        ///< the probability of a horizontal flip: torchvision's RandomHorizontalFlip
  Index crop_padding = 0;  ///< the picture moves by up to so many pixels up or down, and left or right:
                           ///< torchvision's RandomCrop(size, padding)
  FlipMode hflip_mode = FlipMode::random;
  CropMode crop_mode = CropMode::constant;  ///< RandomCrop's padding_mode
  /// The probability that a rectangle is erased: torchvision's RandomErasing (Zhong et al., "Random Erasing Data
  /// Augmentation", 2017). It takes a share of .02 to .33 of the picture, its height is .3 to 3.3 times its width.
  double random_erase = 0;
  EraseMode erase_mode = EraseMode::constant;
  /// The smallest share of a picture that is cut out, at random, before it is resized; 0: none. The cut is up to 4/3
  /// times as wide, or as high, in proportion: torchvision's RandomResizedCrop with the scale (resized_crop, 1).
  double resized_crop = 0;
  AutoAugment auto_augment = AutoAugment::none;
  int ra_ops = 2, ra_magnitude = 9;  ///< of RandAugment
  /// How far these may go from what they are: torchvision's ColorJitter. Hue and saturation do nothing to grey
  /// pictures.
  double jitter_brightness = 0, jitter_contrast = 0, jitter_saturation = 0, jitter_hue = 0;
  /// The alphas of mixup and CutMix (data/sets/mix.h), 0 for none; where there are both, a batch is cut with the
  /// probability mixup_switch_prob. A batch is mixed with the probability mixup_prob: timm's Mixup. Its targets are
  /// then Batch::targets, no longer its labels.
  double mixup = 0, cutmix = 0;
  double mixup_prob = 1, mixup_switch_prob = 0.5;

  void fields(Fields& f) {
    f("hflip", hflip, {.help = "probability of flipping a training image left to right", .low = 0, .high = 1});
    f("hflip_mode", hflip_mode,
      {.help =
           "flip at random each time, or alternate: flip a training image in every second epoch, --hflip of them in "
           "the first",
       .choices = {"random", "alternate"}});
    f("crop_padding", crop_padding,
      {.help = "shift training images at random by up to this many pixels in each direction", .low = 0, .high = 4096});
    f("crop_mode", crop_mode,
      {.help = "what shifted images leave free: constant, which is black, or reflect, the image mirrored",
       .choices = {"constant", "reflect"}});
    f("random_erase", random_erase,
      {.help = "probability of erasing a rectangle of a training image", .low = 0, .high = 1});
    f("erase_mode", erase_mode,
      {.help = "what is put there after normalization: constant, which is 0, or pixel, normal random numbers",
       .choices = {"constant", "pixel"}});
    f("resized_crop", resized_crop,
      {.help = "cut a random part out of each training image and resize that: the smallest share of the image that it "
               "is, such as 0.08; 0: none",
       .low = 0,
       .high = 1});
    f("auto_augment", auto_augment,
      {.help = "random operations on training images: ra, RandAugment as in torchvision; timm-ra, timm's "
               "rand-m9-mstd0.5-inc1; or ta-wide, TrivialAugmentWide",
       .choices = {"none", "ra", "timm-ra", "ta-wide"}});
    f("ra_ops", ra_ops, {.help = "of ra and timm-ra: how many operations", .low = 1, .high = 16});
    f("ra_magnitude", ra_magnitude,
      {.help = "of ra: their strength, 0 to 30; of timm-ra, 0 to 10", .low = 0, .high = 30});
    f("jitter_brightness", jitter_brightness,
      {.help = "change the brightness of training images by up to this share of it", .low = 0, .high = 100});
    f("jitter_contrast", jitter_contrast, {.help = "the same of their contrast", .low = 0, .high = 100});
    f("jitter_saturation", jitter_saturation, {.help = "the same of their saturation", .low = 0, .high = 100});
    f("jitter_hue", jitter_hue,
      {.help = "turn the hues of training images by up to this part of the circle", .low = 0, .high = 0.5});
    f("mixup", mixup,
      {.help = "alpha of mixup: training images and their labels are blended in pairs, by a share of Beta(alpha, "
               "alpha); 0: none",
       .low = 0,
       .high = 1000});
    f("cutmix", cutmix,
      {.help = "alpha of CutMix: a rectangle of each training image comes from another; 0: none",
       .low = 0,
       .high = 1000});
    f("mixup_prob", mixup_prob, {.help = "probability that a batch is mixed", .low = 0, .high = 1});
    f("mixup_switch_prob", mixup_switch_prob,
      {.help = "with --mixup and --cutmix: probability that a batch that is mixed is cut", .low = 0, .high = 1});
  }

  /// Whether batches are mixed, whether colours change, and whether anything does.
  bool mixes() const { return mixup > 0 || cutmix > 0; }
  bool jitters() const {
    return jitter_brightness > 0 || jitter_contrast > 0 || jitter_saturation > 0 || jitter_hue > 0;
  }
  bool on() const { return hflip > 0 || more_than_flips(); }
  /// Whether a picture has more versions than itself and its mirror image.
  bool more_than_flips() const {
    return crop_padding > 0 || random_erase > 0 || resized_crop > 0 || auto_augment != AutoAugment::none || jitters() ||
           mixes();
  }
};

/// Throws Error, in the name of `where`, for what is out of its range, and for options that would do nothing.
void check_augmentation(const Augmentation& augmentation, const char* where);

/// A rectangle of a picture.
struct CropBox {
  Index top = 0, left = 0, height = 0, width = 0;
};

/// The part of a picture of this size that is cut out: RandomResizedCrop.get_params().
CropBox resized_crop_box(Size2 size, double smallest, const Draw& draw, Index i);
/// That part of the picture, resized to preprocess.size with its filter, in place of fit().
Image resized_crop(Image image, const Preprocess& preprocess, double smallest, const Draw& draw, Index i);

/// Whether augment() flips the picture: see there.
bool flips(const Augmentation& augmentation, const Draw& draw, Index i, Index index);

/// The picture flipped and moved, and its colours changed, at random: a pure function of the draw, of i, its place in
/// the epoch, and for FlipMode::alternate of `index`, its number in the data set. That counts on batches(), which draws
/// twice an epoch. timm_rand_augment() takes the filter and, to fill in, the mean from `preprocess`.
Image augment(Image image, const Augmentation& augmentation, const Draw& draw, Index i, Index index = 0,
              const Preprocess& preprocess = {});

/// Erases, at random in the same way, a part of the numbers of a picture, (C, size.height, size.width).
void erase(real* numbers, Index channels, Size2 size, const Augmentation& augmentation, const Draw& draw, Index i);

}  // namespace bobbin
