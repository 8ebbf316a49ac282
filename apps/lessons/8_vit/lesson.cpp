// A Vision Transformer from the library's layers: patches, their positions, blocks, and a head.
#include "apps/lessons/pictures.h"

using namespace bobbin;

namespace {

constexpr Index C = 48;  // the width of a token

struct TinyViT {
  PatchEmbedding patches;  // (B, 1, 28, 28) -> (B, 16, C)
  Var token, positions;    // (1, 1, C), (1, 17, C)
  std::vector<ViTBlock> blocks;
  Sequential<LayerNorm, Linear> head;

  TinyViT(Index classes, Rng& rng)
      : patches(28, 7, C, 1, rng),
        token(Var::parameter(Tensor::zeros({1, 1, C}))),
        positions(Var::parameter(rng.normal({1, 1 + patches.num_patches, C}, 0, real(0.02)))),
        head(LayerNorm(C), Linear(C, classes, rng)) {
    for (int i = 0; i < 2; ++i) blocks.emplace_back(C, C, 2 * C, 4, 0, true, rng);
  }
  Var operator()(const Var& images) {
    const Var first = broadcast_to(token, {images.shape()[0], 1, C});  // the token that will have seen all
    Var X = concat({first, patches(images)}, 1) + positions;           // (B, 17, C)
    for (ViTBlock& block : blocks) X = block(X);
    return head(select(X, 1, 0));
  }
  void visit(auto&& v) {
    v("patches", patches), v("token", token), v("positions", positions), v("blocks", blocks), v("head", head);
  }
};

}  // namespace

int main(int argc, char** argv) {
  return run_main(argv, [&] {
    Rng rng(0);
    const TrainAndTest data = some_pictures(argc, argv, 3000, 1000, rng);
    TinyViT model(data.train.num_classes(), rng);
    std::printf("%td parameters\n", state_of(model).count_parameters());
    AdamW adamw(named_parameters(model));
    for (int epoch = 1; epoch <= 6; ++epoch) {
      train(model);  // a dropout would be on: evaluate() leaves it off
      for (auto [X, y] : batches(data.train, 32, rng)) training_step(model, adamw, CrossEntropy(), X, y, real(0.002));
      std::printf("epoch %d: accuracy %.3f\n", epoch, evaluate(model, data.test, 100).accuracy);
    }
  });
}
