#include "nn/layers.h"

#include <doctest/doctest.h>

#include <set>

#include "nn/models/vit.h"
#include "tests/golden/golden.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

TEST_CASE("layers: a drop path leaves a branch out for whole images, with timm's values and rates") {
  const Golden golden("training");
  Rng rng(1);
  DropPath path(real(0.2), rng);
  const Tensor y = path(Tensor::ones({2000, 3, 2})).value();
  const std::vector<real> numbers = y.values();
  const std::set<real> values(numbers.begin(), numbers.end());
  const std::vector<double> timms = golden.doubles("drop_path/values");
  REQUIRE(values.size() == 2);
  CHECK(double{*values.begin()} == timms[0]);
  CHECK(double{*values.rbegin()} == doctest::Approx(timms[1]));
  Index dropped = 0;
  for (Index i = 0; i < 2000; ++i) {
    const std::vector<real> image(numbers.begin() + i * 6, numbers.begin() + (i + 1) * 6);
    CHECK(image == std::vector<real>(6, image[0]));
    dropped += image[0] == 0;
  }
  CHECK(std::abs(static_cast<double>(dropped) / 2000 - 0.2) < 0.03);
  eval(path);
  CHECK(path(Tensor::ones({3, 1})).value().values() == std::vector<real>(3, 1));
  CHECK(fails([&] { DropPath(1, rng); }, {"must be in [0, 1)"}));

  ViT model({.img_size = 4,
             .patch_size = 2,
             .num_hiddens = 4,
             .mlp_num_hiddens = 4,
             .num_heads = 1,
             .num_blks = 5,
             .drop_path = real(0.2)},
            rng);
  for (std::size_t i = 0; i < 5; ++i) {
    const auto rate = [](const DropPath& p) { return p.dropout ? double{p.dropout->p} : 0; };
    CHECK(rate(model.blks[i].drop_path1) == doctest::Approx(golden.doubles("drop_path/rates")[i]));
    CHECK(rate(model.blks[i].drop_path2) == rate(model.blks[i].drop_path1));
  }
  CHECK(state_of(model).streams.size() == 1 + 5 * 3 + 4 * 2);  // the first block's paths draw nothing
}

TEST_CASE("layers: without LayerScale and drop path a ViT is what it was, with them it has their names") {
  ViTConfig config{.img_size = 4, .patch_size = 2, .num_hiddens = 4, .mlp_num_hiddens = 4, .num_heads = 1};
  Rng a(1), b(1);
  ViT plain(config, a);
  config.layer_scale = real(0.1);
  ViT scaled(config, b);
  const auto names = state_of(scaled).tensors();
  CHECK(names.size() == state_of(plain).tensors().size() + 4);
  CHECK(names.at("blks.1.ls2.gamma").values() == std::vector<real>(4, real(0.1)));
  CHECK(names.at("blks.1.mlp.dense1.weight").values() ==
        state_of(plain).tensors().at("blks.1.mlp.dense1.weight").values());
  CHECK(a.draw().number == b.draw().number);
}
