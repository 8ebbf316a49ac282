#include "nn/models/layer_decay.h"

#include <doctest/doctest.h>

#include <map>

#include "optim/sgd.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

// From timm 1.0.31: param_groups_layer_decay(create_model('vit_tiny_patch16_224', depth=2), layer_decay=.5), and of models
// that have registers, a norm before the blocks, attention pooling and two heads.
TEST_CASE("layer_decay_of: the factors of timm") {
  const ViTConfig config{.num_blks = 2};
  const std::pair<const char*, double> timms[] = {{"cls_token", 0.125},
                                                  {"pos_embedding", 0.125},
                                                  {"patch_embedding.conv.weight", 0.125},
                                                  {"norm_pre.weight", 0.125},
                                                  {"reg_token", 0.125},
                                                  {"blks.0.ln1.weight", 0.25},
                                                  {"blks.0.mlp.dense2.bias", 0.25},
                                                  {"blks.1.attention.W_q.weight", 0.5},
                                                  {"head.0.weight", 0.5},
                                                  {"attn_pool.latent", 1},
                                                  {"head.1.weight", 1},
                                                  {"head_dist.bias", 1}};
  for (const auto& [name, factor] : timms) {
    CAPTURE(name);
    CHECK(layer_decay_of(name, config, real(0.5)) == real(factor));
  }
  CHECK(layer_decay_of("head.0.weight", {.num_blks = 2, .pool = Pool::avg}, real(0.5)) == 1);  // timm's fc_norm
}

TEST_CASE("Optimizer: each parameter at its own share of the learning rate") {
  Var a = Var::parameter(Tensor({2}, {1, 2})), b = Var::parameter(Tensor({2}, {3, 4}));
  SGD sgd({{"a", a}, {"b", b}});
  CHECK(fails([&] { sgd.scale_lr([](const std::string&) { return real(-1); }); },
              {"the learning rate of a cannot be scaled by -1"}));
  sgd.scale_lr([](const std::string& name) { return name == "a" ? real(0.5) : real(0.25); });
  a.add_grad(Tensor::ones({2})), b.add_grad(Tensor::ones({2}));
  sgd.step(real(0.5));
  CHECK(a.value().values() == std::vector<real>{real(0.75), real(1.75)});
  CHECK(b.value().values() == std::vector<real>{real(2.875), real(3.875)});
}
