// The chapter's JAX tab against Flax (make_jax.py).
#include <sstream>

#include "nn/models/vit.h"
#include "optim/sgd.h"
#include "optim/training/step.h"
#include "tests/golden/by_formula.h"
#include "tests/golden/golden.h"
#include "tests/golden/module.h"

using namespace bobbin;

namespace {

Size2 size2(const std::string& text) {
  Index height = 0, width = 0;
  std::istringstream(text) >> height >> width;
  return {height, width};
}

}  // namespace

TEST_CASE("golden: the JAX tab, also of images that are padded: logits, loss, gradients and 20 steps") {
  for (const std::string name : {"jax_square", "jax_same"}) {
    CAPTURE(name);
    const Golden golden(name);
    const ViTConfig config{.img_size = size2(golden.meta("img_size")),
                           .patch_size = size2(golden.meta("patch_size")),
                           .patch_padding = PatchPadding::same,
                           .num_hiddens = golden.meta_int("num_hiddens"),
                           .mlp_num_hiddens = golden.meta_int("mlp_num_hiddens"),
                           .num_heads = golden.meta_int("num_heads"),
                           .num_blks = golden.meta_int("num_blks"),
                           .emb_dropout = 0,
                           .blk_dropout = 0,
                           .use_bias = golden.meta("use_bias") == "1",
                           .num_classes = golden.meta_int("num_classes"),
                           .num_channels = golden.meta_int("num_channels"),
                           .layer_norm_eps = real(1e-6),
                           .activation = Activation::gelu_tanh,
                           .init = Init::flax};
    Rng rng(1);
    ViT model(config, rng);
    load(model, golden, "weights/");

    const Index B = golden.meta_int("batch_size");
    const Shape shape{20, B, config.num_channels, config.img_size.height, config.img_size.width};
    const auto begin = static_cast<std::uint32_t>(golden.meta_int("begin"));
    const std::vector<float> numbers = numbers_by_formula(begin, shape.size());
    const Tensor X(shape, {numbers.begin(), numbers.end()});
    const auto labels = [&](Index step) {
      Labels y;
      for (Index b = 0; b < B; ++b) y.push_back(static_cast<int>((step * B + b) * 7 % config.num_classes));
      return y;
    };
    {
      Tape tape;
      const Var logits = model(X[0]), loss = cross_entropy(logits, labels(0));
      check_golden("logits", logits.value(), golden.tensor("logits"));
      CHECK(std::abs(double{loss.value().item()} / golden.doubles("loss")[0] - 1) <= golden_tolerance);
      tape.backward(loss);
      check_gradients(model, golden, "grads/");
    }
    SGD sgd(named_parameters(model));
    const std::vector<double> losses = golden.doubles("steps/loss");
    REQUIRE(losses.size() == 20);
    for (Index i = 0; i < 20; ++i) {
      CAPTURE(i);
      const double loss = training_step(model, sgd, CrossEntropy(), X[i], labels(i), 0.1);
      CHECK(std::abs(loss / losses[static_cast<std::size_t>(i)] - 1) <= (sizeof(real) == 8 ? 1e-9 : 1e-4));
    }
  }
}
