// Finds the four files of Fashion-MNIST, checks them, and makes two data sets of them.
#pragma once
#include <array>
#include <filesystem>

#include "data/files/idx.h"
#include "data/sets/dataset.h"
#include "tensor/size2.h"

namespace bobbin {

/// Options of fashion_mnist().
struct FashionMnistOptions {
  Size2 resize = 28;  ///< the size of the images in a batch, in pixels
};

/// 60,000 images to train on, and 10,000, which d2l.ai validates on.
using FashionMnist = TrainAndTest;

/// Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017): grey images of 28 x 28, clothes of ten kinds.
///
///     const FashionMnist data = fashion_mnist(dir, {.resize = 96});
///
/// Its four files, each with or without .gz, are looked for in `dir` and in dir/FashionMNIST/raw,
/// where torchvision keeps them. Without a `dir`: in ./datasets/FashionMNIST/raw, where `make data`
/// puts them, and in /usr/share/datasets/fashion-mnist, where Debian's package does.
/// Throws Error if they are not there, or if their uncompressed content is not the published one.
FashionMnist fashion_mnist(const std::filesystem::path& dir = {}, const FashionMnistOptions& options = {});

/// The four files: images and labels to train on, then images and labels to test.
using IdxFiles = std::array<IdxArray, 4>;

/// Whether one of the files, whatever its name, has the content of Fashion-MNIST's.
bool any_is_fashion_mnist(const IdxFiles& files);

/// The data set of these files. Throws Error if the content of one is not the published one.
FashionMnist make_fashion_mnist(IdxFiles files, const FashionMnistOptions& options = {});

}  // namespace bobbin
