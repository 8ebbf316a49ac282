// Trains the Vision Transformer of d2l.ai's chapter "Transformers for Vision" on Fashion-MNIST, without flags or
// files. The tool with these is train.cpp.
#include <cstdio>

#include "data/sets/batches.h"
#include "data/sets/fashion_mnist.h"
#include "nn/models/vit.h"
#include "optim/sgd.h"
#include "optim/training/evaluate.h"
#include "tensor/run_main.h"

using namespace bobbin;

namespace {

void train_and_validate() {
  Rng rng(0);
  const FashionMnist data = fashion_mnist({}, {.resize = 96});
  ViT model({.img_size = 96,
             .patch_size = 16,
             .num_hiddens = 512,
             .mlp_num_hiddens = 2048,
             .num_heads = 8,
             .num_blks = 2,
             .emb_dropout = 0.1,
             .blk_dropout = 0.1},
            rng);
  SGD sgd(named_parameters(model));
  for (int epoch = 1; epoch <= 10; ++epoch) {
    train(model);
    for (auto [X, y] : batches(data.train, 128, rng)) {
      Tape tape;  // recording starts here
      Var loss = cross_entropy(model(X), y);
      tape.backward(loss);  // gradients land in the parameters
      sgd.step(0.1);        // and move them
    }                       // the tape ends: its memory is used again
    const Evaluation validation = evaluate(model, data.test, 128);
    std::printf("epoch %d  val_loss %.4f  val_acc %.4f\n", epoch, validation.loss, validation.accuracy);
    check_printed();
  }
}

}  // namespace

int main(int, char** argv) { return run_main(argv, train_and_validate); }
