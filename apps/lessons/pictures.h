#pragma once
#include <bobbin.h>

#include <cstdio>

/// Pictures for the lessons that need some.
namespace bobbin {

/// Grey images of 28 x 28 with a bar on noise, somewhere: across, down, or one of the two diagonals.
inline ImageDataset bars(Index count, Rng& rng) {
  std::vector<std::uint8_t> bytes;
  Labels labels;
  const std::vector<real> noise = rng.uniform({count * 28 * 28}, 0, 100).values();
  for (const real at : rng.uniform({count}, 6, 22).values()) {
    const int kind = static_cast<int>(labels.size() % 4), place = static_cast<int>(at);
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

/// The first images of Fashion-MNIST to train and to test on, or bars where it is not found; says which. A lesson's
/// first argument is the folder to look in.
inline TrainAndTest some_pictures(int argc, char** argv, Index train, Index test, Rng& rng) {
  try {
    TrainAndTest data = fashion_mnist(argc > 1 ? argv[1] : "");
    for (auto [part, count] : {std::pair{&data.train, train}, {&data.test, test}}) {
      part->images.resize(static_cast<std::size_t>(count * 28 * 28));
      part->labels.resize(static_cast<std::size_t>(count));
    }
    std::printf("%td clothes of Fashion-MNIST to learn, %td others to test\n", train, test);
    return data;
  } catch (const Error& error) {
    std::printf("%s\nso it draws %td bars to learn, and %td others to test\n", error.what(), train, test);
    return {bars(train, rng), bars(test, rng), "bars"};
  }
}

}  // namespace bobbin
