// Operations, RandAugment, TrivialAugment, colour jitter and random resized crops against torchvision on PIL images.
#include "data/images/photometric.h"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "data/images/augment.h"
#include "data/images/rand_augment.h"
#include "data/sets/batches.h"
#include "tests/data/files.h"
#include "tests/golden/golden.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

Bytes bytes(const Golden& golden, const std::string& name) {
  const std::vector<int> numbers = golden.ints(name);
  return {numbers.begin(), numbers.end()};
}

// Those of make_augment.py.
std::map<std::string, Image> pictures(const Golden& golden) {
  std::map<std::string, Image> all{{"rgb", {3, 17, 22, bytes(golden, "rgb")}},
                                   {"grey", {1, 17, 22, bytes(golden, "grey")}},
                                   {"noise", {3, 48, 80, noise(3 * 48 * 80)}},
                                   {"square", {1, 32, 32, noise(32 * 32)}},
                                   {"tiny", {3, 2, 3, noise(18)}},
                                   {"one", {3, 1, 1, noise(3)}},
                                   {"even", {3, 5, 6, Bytes(90, 9)}},
                                   {"narrow", {1, 17, 22, bytes(golden, "grey")}}};
  std::fill_n(all["even"].bytes.begin() + 30, 30, 0);
  std::fill_n(all["even"].bytes.begin() + 60, 30, 255);
  for (std::uint8_t& byte : all["narrow"].bytes) byte = static_cast<std::uint8_t>(100 + byte / 8);
  return all;
}

unsigned long crc(const Bytes& all) { return crc32(0, all.data(), static_cast<unsigned>(all.size())); }

void append(Bytes& all, const Image& image) { all.insert(all.end(), image.bytes.begin(), image.bytes.end()); }

}  // namespace

TEST_CASE("photometric: each operation is Pillow's to the bit") {
  const Golden golden("augment");
  const std::vector<float> factors{0, 0.1F, 0.3F, 0.73F, 1, 1.27F, 1.9F, 3.5F};
  const std::vector<double> tangents{-0.99, -0.3, -0.09, 0, 0.012, 0.3, 0.7};
  using Result = std::vector<Image>;
  const auto each = [](const auto& values, const auto& f) {
    Result all;
    for (const auto value : values) all.push_back(f(value));
    return all;
  };
  const std::map<std::string, std::function<Result(const Image&)>> operations{
      {"brightness", [&](const Image& p) { return each(factors, [&](float f) { return brightness(p, f); }); }},
      {"contrast", [&](const Image& p) { return each(factors, [&](float f) { return contrast(p, f); }); }},
      {"saturation", [&](const Image& p) { return each(factors, [&](float f) { return saturation(p, f); }); }},
      {"sharpness", [&](const Image& p) { return each(factors, [&](float f) { return sharpness(p, f); }); }},
      {"hue",
       [&](const Image& p) {
         return each(std::vector{-0.5, -0.21, -0.001, 0.0, 0.1, 0.33, 0.5}, [&](double h) { return hue(p, h); });
       }},
      {"invert", [&](const Image& p) { return Result{invert(p)}; }},
      {"posterize",
       [&](const Image& p) {
         return each(std::vector{1, 2, 3, 4, 5, 6, 7, 8}, [&](int b) { return posterize(p, b); });
       }},
      {"solarize",
       [&](const Image& p) {
         return each(std::vector{0.0, 76.5, 128.0, 178.5, 255.0}, [&](double t) { return solarize(p, t); });
       }},
      {"autocontrast", [&](const Image& p) { return Result{autocontrast(p)}; }},
      {"equalize", [&](const Image& p) { return Result{equalize(p)}; }},
      {"shear_x", [&](const Image& p) { return each(tangents, [&](double t) { return shear_x(p, t); }); }},
      {"shear_y", [&](const Image& p) { return each(tangents, [&](double t) { return shear_y(p, t); }); }},
      {"translate",
       [&](const Image& p) {
         return Result{translate(p, 0, 0), translate(p, 3, 0), translate(p, -5, 2), translate(p, 0, 99)};
       }},
      {"rotate", [&](const Image& p) {
         return each(std::vector{-135.0, -90.0, -13.5, 0.0, 9.0, 30.0, 90.0, 121.5},
                     [&](double d) { return rotate(p, d); });
       }}};
  const auto expected = nlohmann::json::parse(golden.meta("operations"));
  CHECK(expected.size() == operations.size());
  for (const auto& [name, operation] : operations)
    for (const auto& [key, picture] : pictures(golden)) {
      const std::string what = name + " of " + key;
      INFO(what);
      Bytes all;
      for (const Image& image : operation(picture)) append(all, image);
      CHECK(crc(all) == expected.at(name).at(key).get<unsigned long>());
    }
}

TEST_CASE("augment: RandAugment, TrivialAugmentWide and ColorJitter are torchvision's with the same random numbers") {
  const Golden golden("augment");
  const std::map<std::string, Augmentation> policies{
      {"rand_augment 9", {.auto_augment = AutoAugment::rand_augment}},
      {"rand_augment 30", {.auto_augment = AutoAugment::rand_augment, .ra_ops = 3, .ra_magnitude = 30}},
      {"rand_augment 4", {.auto_augment = AutoAugment::rand_augment, .ra_magnitude = 4}},
      {"trivial_augment_wide", {.auto_augment = AutoAugment::trivial_augment_wide}}};
  const Augmentation jitter{
      .jitter_brightness = 0.4, .jitter_contrast = 0.3, .jitter_saturation = 1.5, .jitter_hue = 0.1};
  const auto seen = [](const Image& picture, const Augmentation& how, Index count) {
    Bytes all;
    for (Index i = 0; i < count; ++i) append(all, augment(picture, how, Draw{3, 5}, i));
    return crc(all);
  };
  for (const auto& [key, picture] : pictures(golden)) {
    const std::string jittered = "jitter of " + key;
    INFO(jittered);
    for (const auto& [name, how] : policies) {
      const std::string what = name + " of " + key;
      INFO(what);
      CHECK(seen(picture, how, 400) == nlohmann::json::parse(golden.meta("policies"))[name][key].get<unsigned long>());
    }
    CHECK(seen(picture, jitter, 50) == nlohmann::json::parse(golden.meta("color_jitter"))[key].get<unsigned long>());
  }
}

TEST_CASE("augment: timm-ra is timm's rand-m9-mstd0.5-inc1 with the same random numbers") {
  const Golden golden("augment");
  Preprocess preprocess;
  preprocess.mean = {real(0.485), real(0.456), real(0.406)};
  for (const auto& [key, picture] : pictures(golden))
    for (const bool strong : {true, false}) {
      const std::string config = strong ? "rand-m9-mstd0.5-inc1" : "rand-m4-n3-mstd0.5-inc1", what = config + " " + key;
      INFO(what);
      preprocess.interpolation = strong ? Interpolation::bicubic : Interpolation::bilinear;
      const Augmentation how{
          .auto_augment = AutoAugment::timm_rand_augment, .ra_ops = strong ? 2 : 3, .ra_magnitude = strong ? 9 : 4};
      Bytes all;
      for (Index i = 0; i < 400; ++i) append(all, augment(picture, how, Draw{3, 5}, i, 0, preprocess));
      CHECK(crc(all) == nlohmann::json::parse(golden.meta("timm_policies"))[config][key].get<unsigned long>());
    }
}

TEST_CASE("augment: random resized crops are torchvision's with the same random numbers") {
  std::vector<int> boxes;
  for (const Size2 size : {Size2(17, 22), Size2(375, 500), Size2(100, 3), Size2(3, 100), Size2(1, 1)})
    for (Index i = 0; i < 20; ++i) {
      const CropBox box = resized_crop_box(size, 0.08, Draw{3, 5}, i);
      for (const Index n : {box.top, box.left, box.height, box.width}) boxes.push_back(static_cast<int>(n));
    }
  CHECK(boxes == Golden("augment").ints("resized_crop"));

  // In a batch the part is what is resized.
  ImageDataset data({6, 3, 9, 13}, noise(6 * 3 * 9 * 13), Labels(6, 0), {"one"});
  data.preprocess.size = {5, 7};
  Rng rng(2), again(2);
  const std::vector<real> numbers = batches(data, 6, rng, {.resized_crop = 0.3})[0].images.values();
  const std::vector<Index> order = again.permutation(6);
  const Draw draw = again.draw();
  std::vector<real> expected(numbers.size());
  for (Index i = 0; i < 6; ++i) {
    const Image whole = data.image(order[static_cast<std::size_t>(i)]);
    const CropBox box = resized_crop_box({9, 13}, 0.3, draw, i);
    Image part{3, box.height, box.width, {}};
    for (Index c = 0; c < 3; ++c)
      for (Index y = box.top; y < box.top + box.height; ++y)
        for (Index x = box.left; x < box.left + box.width; ++x)
          part.bytes.push_back(whole.bytes[static_cast<std::size_t>((c * 9 + y) * 13 + x)]);
    to_numbers(fit(part, data.preprocess), data.preprocess, expected.data() + i * 3 * 5 * 7);
  }
  CHECK(numbers == expected);
  CHECK(fails([&] { batches(data, 6, rng, {.resized_crop = 1.5}); }, {"resized_crop", "from 0 to 1, got 1.5"}));
  CHECK(fails([&] { batches(data, 6, rng, {.jitter_hue = 0.6}); }, {"jitter_hue is from 0 to 0.5, got 0.6"}));
  CHECK(fails([&] { batches(data, 6, rng, {.jitter_contrast = -1}); }, {"from 0 to 100, got -1"}));
  CHECK(fails([&] { batches(data, 6, rng, {.ra_ops = 0}); }, {"ra_ops must be 1 to 16 operations, got 0"}));
  CHECK(fails([&] { batches(data, 6, rng, {.auto_augment = AutoAugment::timm_rand_augment, .ra_magnitude = 11}); },
              {"ra_magnitude of timm-ra goes to 10, got 11"}));
  CHECK(fails([&] { batches(data, 6, rng, {.ra_magnitude = 31}); }, {"ra_magnitude must be from 0 to 30, got 31"}));
}
