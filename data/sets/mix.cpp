#include "data/sets/mix.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "data/images/random_words.h"

namespace bobbin {
namespace {

// A number of the distribution Beta(a, a). With u, v even in (0, 1], T = sqrt(2a (u^(-1/a) - 1)) cos(2πv) has Student's
// t distribution with 2a degrees of freedom (Bailey, 1994), and (1 + T / sqrt(2a + T²)) / 2 is Beta(a, a) (Devroye,
// "Random variate generation in one line of code", 1996).
double beta(RandomWords& words, double a) {
  const double u = 1 - words.uniform(), cosine = std::cos(2 * std::numbers::pi * words.uniform());
  const double t2 = (std::pow(u, -1 / a) - 1) * cosine * cosine;  // T² / 2a
  return (1 + std::copysign(1 / std::sqrt(1 + 1 / t2), cosine)) / 2;
}

}  // namespace

BatchMix draw_mix(const Augmentation& a, Size2 size, const Draw& draw, Index i) {
  RandomWords words(draw, i, WordsFor::mixing);
  BatchMix mix;
  if (!words.coin(a.mixup_prob)) return mix;
  mix.cut = a.mixup > 0 && a.cutmix > 0 ? words.coin(a.mixup_switch_prob) : a.cutmix > 0;
  mix.kept = beta(words, mix.cut ? a.cutmix : a.mixup);
  if (!mix.cut) return mix;

  const auto part = [&](Index side) { return static_cast<Index>(static_cast<double>(side) * std::sqrt(1 - mix.kept)); };
  const Index height = part(size.height), width = part(size.width);
  const Index y = words.below(size.height), x = words.below(size.width);
  mix.top = std::max<Index>(y - height / 2, 0), mix.bottom = std::min(y + (height + 1) / 2, size.height);
  mix.left = std::max<Index>(x - width / 2, 0), mix.right = std::min(x + (width + 1) / 2, size.width);
  const Index area = (mix.bottom - mix.top) * (mix.right - mix.left);
  mix.kept = 1 - static_cast<double>(area) / static_cast<double>(size.height * size.width);
  return mix;
}

void mix_pictures(real* numbers, Index batch, Index channels, Size2 size, const BatchMix& mix) {
  const Index picture = channels * size.height * size.width;
  const auto kept = static_cast<real>(mix.kept), taken = static_cast<real>(1 - mix.kept);
  if (mix.kept == 1) return;
  for (Index i = 0; i < batch / 2; ++i) {
    real *const a = numbers + i * picture, *const b = numbers + (batch - 1 - i) * picture;
    if (mix.cut)
      for (Index c = 0; c < channels; ++c)
        for (Index y = mix.top; y < mix.bottom; ++y) {
          const Index line = (c * size.height + y) * size.width;
          std::swap_ranges(a + line + mix.left, a + line + mix.right, b + line + mix.left);
        }
    else
      for (Index j = 0; j < picture; ++j) {
        const real before = a[j];
        a[j] = before * kept + b[j] * taken;
        b[j] = b[j] * kept + before * taken;
      }
  }
}

void mix_targets(const Labels& labels, Index classes, const BatchMix& mix, real* targets) {
  const auto batch = static_cast<Index>(labels.size());
  std::fill_n(targets, batch * classes, real{0});
  for (Index i = 0; i < batch; ++i) {
    targets[i * classes + labels[static_cast<std::size_t>(i)]] += static_cast<real>(mix.kept);
    targets[i * classes + labels[static_cast<std::size_t>(batch - 1 - i)]] += static_cast<real>(1 - mix.kept);
  }
}

}  // namespace bobbin
