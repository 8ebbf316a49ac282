#include "nn/models/attention_maps.h"

#include <doctest/doctest.h>

#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

ViTConfig small() {
  return {.img_size = {8, 12},
          .patch_size = 4,
          .num_hiddens = 12,
          .mlp_num_hiddens = 20,
          .num_heads = 3,
          .num_blks = 3,
          .num_channels = 2};
}

}  // namespace

TEST_CASE("attention maps: what the blocks do, seen from their weights") {
  for (const Norm norm : {Norm::pre, Norm::post}) {
    Rng rng(1);
    ViTConfig c = small();
    c.norm = norm;
    ViT model(c, rng);
    eval(model);
    const Tensor images = rng.normal({2, 2, 8, 12});
    const std::vector<Tensor> maps = attention_maps(model, images);
    REQUIRE(maps.size() == 3);
    Var X = model.tokens(images);
    for (std::size_t i = 0; i < 3; ++i) {
      REQUIRE(maps[i].shape() == Shape{2, 3, 7, 7});
      for (const real row : sum(maps[i], 3).values()) CHECK(row == doctest::Approx(1));
      // The weights times the values, projected, are what the model's own attention gives.
      ViTBlock& blk = model.blks[i];
      const Var Z = norm == Norm::pre ? blk.ln1(X) : X;
      const Var V = transpose(reshape(blk.attention.W_v(Z), {2, 7, 3, 4}), 1, 2);
      const Var Y = blk.attention.W_o(reshape(transpose(matmul(Var(maps[i]), V), 1, 2), {2, 7, 12}));
      CHECK(error(Y.value(), [&] {
              const auto own = blk.attention(Z, Z, Z).value().values();
              return std::vector<double>(own.begin(), own.end());
            }()) < 1e-5);
      X = blk(X);
    }
  }
}

TEST_CASE("attention rollout: of maps that can be followed by hand") {
  // Two tokens, two heads. On average token 0 looks at 1 only, and 1 at both alike.
  const Tensor map({1, 2, 2, 2}, {0, 1, 1, 0, 0, 1, 0, 1});
  const Tensor once = attention_rollout({map});
  CHECK(once.values() == std::vector<real>{real(.5), real(.5), real(.25), real(.75)});
  const Tensor twice = attention_rollout({map, map});
  CHECK(twice.values() == std::vector<real>{real(.375), real(.625), real(.3125), real(.6875)});
  // The order of the blocks counts: the last one's queries are the rows.
  const Tensor still({1, 2, 2, 2}, {1, 0, 0, 1, 1, 0, 0, 1}), up({1, 1, 2, 2}, {1, 0, 1, 0}),
      down({1, 1, 2, 2}, {0, 1, 0, 1});
  CHECK(attention_rollout({still, map}).values() == once.values());
  CHECK(attention_rollout({up, down}).values() == std::vector<real>{real(.75), real(.25), real(.5), real(.5)});
  CHECK(fails([] { attention_rollout({}); }, {"no attention"}));
}

TEST_CASE("attention maps: as they lie in the image") {
  Rng rng(1);
  ViTConfig c = small();
  const Tensor map = rng.uniform({7, 7});
  const std::vector<real> all = map.values(), first(all.begin() + 1, all.begin() + 7);
  CHECK(over_patches(map, ViT(c, rng)).shape() == Shape{2, 3});
  CHECK(over_patches(map, ViT(c, rng)).values() == first);
  c.pool = Pool::avg;
  const std::vector<real> mean_over_patches = over_patches(map, ViT(c, rng)).values();
  for (std::size_t k = 1; k < 7; ++k) {
    real sum = 0;
    for (std::size_t q = 1; q < 7; ++q) sum += all[q * 7 + k];
    CHECK(mean_over_patches[k - 1] == doctest::Approx(sum / 6));
  }
}
