// LeNet, with ReLU, learns which way the bar in an image goes: images, convolutions, the Trainer.
//
//     c++ -O2 lenet.cpp $(pkg-config --cflags --libs bobbin) -o lenet && ./lenet
//
// With `const TrainAndTest data = fashion_mnist();` in place of bars() it learns clothes; image_data("FOLDER", {}) has
// your own pictures.
#include <bobbin.h>

#include <cstdio>

using namespace bobbin;

namespace {

// Grey images of 28 x 28 with a bar on noise, somewhere: across, down, or one of the two diagonals.
ImageDataset bars(Index count, Rng& rng) {
  std::vector<std::uint8_t> bytes;
  Labels labels;
  const std::vector<real> noise = rng.uniform({count * 28 * 28}, 0, 100).values();
  const std::vector<real> places = rng.uniform({count}, 6, 22).values();
  for (Index i = 0; i < count; ++i) {
    const int kind = static_cast<int>(i % 4), place = static_cast<int>(places[static_cast<std::size_t>(i)]);
    for (int row = 0; row < 28; ++row)
      for (int column = 0; column < 28; ++column) {
        const int off[] = {row - place, column - place, row - column + place - 14, row + column - place - 14};
        const bool bar = off[kind] >= -1 && off[kind] <= 1;
        bytes.push_back(static_cast<std::uint8_t>(noise[bytes.size()] + (bar ? 100 : 0)));
      }
    labels.push_back(kind);
  }
  return {{count, 1, 28, 28}, bytes, labels, {"across", "down", "falling", "rising"}};
}

}  // namespace

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    const TrainAndTest data{bars(800, rng), bars(200, rng), "bars"};
    Sequential model{Conv2d(1, 6, 5, rng, {.padding = 2}),  // (B, 6, 28, 28)
                     ReLU(),
                     AvgPool2d(2, 2),        // (B, 6, 14, 14)
                     Conv2d(6, 16, 5, rng),  // (B, 16, 10, 10)
                     ReLU(),
                     AvgPool2d(2, 2),  // (B, 16, 5, 5)
                     Flatten(),
                     Linear(400, 120, rng),
                     ReLU(),
                     Linear(120, 84, rng),
                     ReLU(),
                     Linear(84, 4, rng)};
    AdamW adamw(named_parameters(model));
    Trainer trainer(model, adamw, CrossEntropy(), rng,
                    {.epochs = 8, .batch_size = 32, .schedule = {.sched = "cosine", .lr = 0.003}});
    const std::vector<EpochMetrics> epochs = trainer.fit(data);
    std::printf("accuracy %.3f, loss %.4f after %zu epochs\n", epochs.back()["val_acc"], epochs.back()["val_loss"],
                epochs.size());
  });
}
