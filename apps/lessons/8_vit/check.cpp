#include "apps/lessons/check.h"

#include "apps/lessons/8_vit/exercise.h"
#include "apps/lessons/8_vit/solution.h"

using namespace bobbin;

namespace {

// On images whose pixels are numbered, so that each says where it came from.
template <class Patches>
void check_patches() {
  constexpr Index B = 2, H = 4, W = 6, side = 2, pixels = side * side;
  std::vector<real> numbers(B * H * W);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<real>(i);
  const Tensor images({B, 1, H, W}, numbers);
  Rng rng(8);
  Patches layer(side, 3, rng);
  const Tensor cut = layer.cut(images).value(), want = patches(images, side);
  check(cut.shape() == want.shape(), "lesson 8", "cut() gives ", cut.shape(), ", and ", want.shape(),
        " is right: see apps/lessons/8_vit/exercise.h");
  const auto place = [](real number) {
    const Index at = static_cast<Index>(number) % (H * W);
    return "(" + std::to_string(at / W) + ", " + std::to_string(at % W) + ")";
  };
  for (Index i = 0; i < want.size(); ++i) {
    const real got = cut.values()[static_cast<std::size_t>(i)], right = want.values()[static_cast<std::size_t>(i)];
    check(got == right, "lesson 8", "pixel ", i % pixels, " of patch ", i / pixels % (H * W / pixels), " of image ",
          i / (H * W), " is the one at (row, column) = ", place(got), ", and the one at ", place(right),
          " is right: see cut() in apps/lessons/8_vit/exercise.h");
  }
  Var some = Var::parameter(rng.normal({B, 1, H, W}));
  std::vector<NamedParameter> leaves = named_parameters(layer);
  leaves.emplace_back("images", some);
  gradcheck(
      "Patches", [&] { return layer(some); }, leaves);
}

}  // namespace

int main(int argc, char** argv) {
  return check_exercise(argc, argv, check_patches<exercise::Patches>, check_patches<solution::Patches>);
}
