#include "nn/pretrained/input_channels.h"

#include <doctest/doctest.h>

#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

TEST_CASE("input channels: a first convolution is adapted as timm does it") {
  const Golden golden("input_channels");
  for (const Index to : {1, 2, 4}) {
    CAPTURE(to);
    NamedTensors weights{{"conv.weight", golden.tensor("weight")}, {"next.weight", Tensor({4, 4, 3, 3})}};
    Preprocess preprocess{.mean = {real(0.1), real(0.2), real(0.6)}, .std = {real(0.5), real(0.25), real(0.75)}};
    adapt_input_conv(weights, preprocess, 3, to);
    check_golden("weight", weights.at("conv.weight"), golden.tensor("to " + std::to_string(to)));
    CHECK(weights.at("next.weight").shape() == Shape{4, 4, 3, 3});
    REQUIRE(static_cast<Index>(preprocess.mean.size()) == to);
    CHECK(preprocess.mean.back() == doctest::Approx(0.3));
    CHECK(preprocess.std.front() == doctest::Approx(0.5));
  }
  // timm leaves out 1 to 3; what a grey picture gives must stay, and it is the inverse of 3 to 1.
  NamedTensors grey{{"conv.weight", golden.tensor("to 1")}};
  Preprocess plain;
  adapt_input_conv(grey, plain, 1, 3);
  CHECK(grey.at("conv.weight").shape() == Shape{4, 3, 2, 3});
  CHECK(plain.mean.empty());
  adapt_input_conv(grey, plain, 3, 1);
  check_golden("there and back", grey.at("conv.weight"), golden.tensor("to 1"));

  NamedTensors mlp{{"hidden.weight", Tensor({4, 3})}};
  CHECK(
      fails([&] { adapt_input_conv(mlp, plain, 3, 1); }, {"for images of 3 channels and cannot be made those for 1"}));
}
