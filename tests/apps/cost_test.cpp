// What a training step costs, in numbers that no machine's speed changes: a step that does more than it did is seen
// here.
#include <doctest/doctest.h>

#include "apps/common/products_of_step.h"
#include "nn/models/vit.h"
#include "optim/sgd.h"
#include "optim/training/step.h"
#include "tensor/profile.h"
#include "tensor/storage.h"
#include "tensor/threads.h"

using namespace bobbin;

namespace {

struct Cost {
  std::size_t nodes = 0;   // on the tape
  std::size_t blocks = 0;  // of memory
  std::size_t bytes = 0;   // in use at once, at most
  Index products = 0;      // linear() and matmul()
  double product_flops = 0, attention_flops = 0;
};

// Of one training step on two threads.
Cost cost(const ViTConfig& config, Index batch) {
  const int before = threads();
  set_threads(2);
  Rng rng(0);
  ViT model(config, rng);
  SGD sgd(named_parameters(model));
  const Tensor X = rng.uniform({batch, config.num_channels, config.img_size.height, config.img_size.width});
  const Labels y(static_cast<std::size_t>(batch), 3);
  Cost result;
  {
    Tape tape;
    const Var loss = cross_entropy(model(X), y);
    result.nodes = tape.ops().size();
  }
  memory::release_cached();
  memory::reset_peak();
  const memory::Stats start = memory::stats();
  profile::start();
  training_step(model, sgd, CrossEntropy(), X, y, 0.01);
  profile::stop();
  result.blocks = memory::stats().system_allocations - start.system_allocations;
  result.bytes = memory::stats().peak_in_use - start.in_use;
  for (const profile::Row& row : profile::rows()) {
    if (row.name == "linear" || row.name == "matmul") {
      result.products += row.calls;
      result.product_flops += row.flops;
    }
    if (row.name == "attention" || row.name == "attention_backward") result.attention_flops += row.flops;
  }
  set_threads(before);
  return result;
}

}  // namespace

TEST_CASE("cost of a training step of d2l's model") {
  constexpr Index batch = 16;
  const Cost whole = cost({.whole_last_block = true}, batch), cls = cost({}, batch);
  CHECK(whole.nodes == 37);
  CHECK(cls.nodes == 39);  // two slices more
  // Fewer is better; more wants a reason.
  CHECK(whole.blocks == 65);
  CHECK(cls.blocks == 69);
  CHECK(whole.bytes == 47453824);
  CHECK(cls.bytes == 39946112);

  // Each of 14 linear layers is a product, and two in backward, but that the images need no gradient.
  CHECK(whole.products == 3 * 14 - 1);
  CHECK(cls.products == whole.products);

  // An image is T = 37 tokens of D = 512. With N = 36 patches of 256 pixels, multiplications and additions forward are
  //     2·N·256·D + 2 blocks · (2·T·(4·D² + 2·D·2048) + 4·T²·D) + 2·D·10,
  // and twice as many back; in the last block W_q, W_o, the MLP and the queries are needed for the class token only.
  const double N = 36, T = 37, D = 512, M = 2048;
  const auto linears = [&](double q) { return 2 * (q * (2 * D * D + 2 * D * M) + T * 2 * D * D); };
  const double ends = 3 * (2 * N * 256 * D + 2 * D * 10) - 2 * N * 256 * D;
  CHECK(whole.product_flops == batch * (3 * 2 * linears(T) + ends));
  CHECK(whole.attention_flops == batch * (3 * 2 * 4 * T * T * D));
  CHECK(cls.product_flops == batch * (3 * (linears(T) + linears(1)) + ends));
  CHECK(cls.attention_flops == batch * (3 * 4 * (T * T + T) * D));
}

TEST_CASE("the products that the bench runs alone are those of the step") {
  const ViTConfig small{.img_size = {12, 8},
                        .patch_size = 4,
                        .num_hiddens = 24,
                        .mlp_num_hiddens = 40,
                        .num_heads = 3,
                        .num_blks = 3,
                        .num_classes = 7,
                        .num_channels = 2};
  ViTConfig whole = small, avg = small;
  whole.whole_last_block = true;
  avg.pool = Pool::avg;
  for (const ViTConfig& config : {small, whole, avg, ViTConfig{}}) {
    const Cost step = cost(config, 3);
    CHECK(ProductsOfStep(config, 3).flops() == step.product_flops + step.attention_flops);
  }
}
