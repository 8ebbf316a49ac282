// Blocks that normalise after each sum, against d2l's code (make_post_norm.py).
#include "nn/encoder.h"
#include "nn/models/vit.h"
#include "optim/sgd.h"
#include "optim/training/step.h"
#include "tests/golden/golden.h"
#include "tests/golden/module.h"

using namespace bobbin;

TEST_CASE("golden: TransformerEncoderBlock, with and without valid_lens") {
  const Golden golden("post_norm");
  Rng rng(1);
  TransformerEncoderBlock block(12, 20, 3, 0, true, rng);
  load(block, golden, "block/weights/");
  for (const std::string kind : {"none", "lens"}) {
    CAPTURE(kind);
    const std::string at = "block/" + kind + "/";
    const std::vector<int> lens = kind == "none" ? std::vector<int>{} : golden.ints(at + "valid_lens");
    Var X = Var::parameter(golden.tensor("block/X"));
    const Tensor Y = backward_from([&] { return block(X, lens); }, golden.tensor("block/dY"));
    check_golden("Y", Y, golden.tensor(at + "Y"));
    check_golden("dX", X.grad(), golden.tensor(at + "dX"));
    check_gradients(block, golden, at + "grads/");
  }
}

namespace {

const ViTConfig vit_config{.img_size = 12,
                           .patch_size = 4,
                           .num_hiddens = 12,
                           .mlp_num_hiddens = 20,
                           .num_heads = 3,
                           .num_blks = 2,
                           .emb_dropout = 0,
                           .blk_dropout = 0,
                           .norm = Norm::post};

Labels labels_of(const Tensor& y) {
  const std::vector<real> numbers = y.values();
  return {numbers.begin(), numbers.end()};
}

}  // namespace

TEST_CASE("golden: a ViT of post-norm blocks, logits, gradients and 20 steps") {
  const Golden golden("post_norm");
  const Tensor X = golden.tensor("vit/X"), y = golden.tensor("vit/y");
  for (const bool whole_last_block : {false, true}) {
    CAPTURE(whole_last_block);
    Rng rng(1);
    ViTConfig config = vit_config;
    config.whole_last_block = whole_last_block;
    ViT model(config, rng);
    load(model, golden, "vit/weights/");
    {
      Tape tape;
      const Var logits = model(X[0]);
      check_golden("logits", logits.value(), golden.tensor("vit/logits"));
      tape.backward(cross_entropy(logits, labels_of(y[0])));
      check_gradients(model, golden, "vit/grads/");
    }
    SGD sgd(named_parameters(model));
    const std::vector<double> losses = golden.doubles("vit/loss");
    REQUIRE(losses.size() == 20);
    for (Index i = 0; i < 20; ++i) {
      CAPTURE(i);
      const double loss = training_step(model, sgd, CrossEntropy(), X[i], labels_of(y[i]), 0.1);
      CHECK(std::abs(loss / losses[static_cast<std::size_t>(i)] - 1) <= (sizeof(real) == 8 ? 1e-9 : 1e-4));
    }
  }
}
