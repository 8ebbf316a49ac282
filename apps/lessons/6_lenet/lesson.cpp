// LeNet: filters that see a small window of a picture, the same in every place, and what they learn to look for.
#include "apps/lessons/pictures.h"

using namespace bobbin;

namespace {

// A map of numbers (height, width), those of the lowest and of the highest black and white.
Image grey(const Tensor& map) {
  const Tensor low = min(map), high = max(map);
  Image picture{1, map.shape()[0], map.shape()[1], {}};
  for (const real x : ((map - low) / (high - low) * 255).values())
    picture.bytes.push_back(static_cast<std::uint8_t>(x));
  return picture;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main(argv, [&] {
    Rng rng(0);
    const TrainAndTest data = some_pictures(argc, argv, 3000, 1000, rng);
    LeNet model({.num_classes = data.train.num_classes()}, rng);
    Conv2d& first = std::get<0>(model.net.layers);  // (B, 1, 28, 28) -> (B, 6, 28, 28)
    std::printf("the first layer has %td numbers; a Linear from 784 pixels to its 4,704 would have %d\n",
                first.weight.size() + first.bias.size(), 784 * 4704 + 4704);

    AdamW adamw(named_parameters(model));
    for (int epoch = 1; epoch <= 8; ++epoch) {
      for (auto [X, y] : batches(data.train, 32, rng)) training_step(model, adamw, CrossEntropy(), X, y, real(0.004));
      if (epoch % 2 == 0) std::printf("epoch %d: accuracy %.3f\n", epoch, evaluate(model, data.test, 100).accuracy);
    }

    // The picture, and below it the six filters and what each makes of it.
    const Image shown = data.test.image(0);
    const Tensor seen = first(to_tensor(shown, data.test.preprocess)).value()[0];  // (6, 28, 28)
    Image sheet = blank(190, 6 * 94 + 4);
    paste(sheet, 4, 4, shown, 2);
    for (Index i = 0; i < 6; ++i) {
      paste(sheet, 94 * i + 29, 64, grey(first.weight.value()[i][0]), 8);
      paste(sheet, 94 * i + 7, 106, grey(seen[i]), 3);
    }
    write_png("lenet.png", sheet);
    std::printf("lenet.png shows a picture, the six filters, and what they make of it\n");
  });
}
