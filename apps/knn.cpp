// Classifies features by their neighbours: how good a model's features are, without learning anything from them.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/features.h"
#include "tensor/check.h"
#include "tensor/functions.h"
#include "tensor/text.h"
#include "tensor/threads.h"

using namespace bobbin;

namespace {

// Rows of length 1: their products are cosines.
Tensor normalised(const Tensor& rows) {
  const Tensor length = sqrt(sum(rows * rows, 1, /*keepdim=*/true));  // (N, 1)
  for (const real x : length.values())
    check(std::isfinite(x) && x > 0, "knn", "a feature is zero or not finite, so it has no direction");
  return rows / length;
}

// The labels of the features: the folder of each picture, as the number of its class.
Labels labels_of(const Features& features, const std::vector<std::string>& classes) {
  Labels labels;
  for (const std::string& picture : features.pictures) {
    const auto found = std::find(classes.begin(), classes.end(), class_of(picture));
    check(found != classes.end(), "knn", "the class of a picture is the folder that it is in, but none of TRAIN is in ",
          Quoted{class_of(picture)}, ", as ", picture, " is");
    labels.push_back(static_cast<int>(found - classes.begin()));
  }
  return labels;
}

}  // namespace

int main(int argc, char** argv) try {
  wait_briefly(argv);
  std::string train_file, test_file;
  int k = 20, threads = default_threads();
  double temperature = 0.07;
  CLI::App app(
      "Classifies each feature of TEST by the k nearest of TRAIN, by cosine: each votes for its class with the "
      "weight exp(cosine / temperature), as DINO's evaluation does (Caron et al., 2021). The class of a picture is the "
      "folder that it is in. classify --features writes the files.",
      "knn");
  app.add_option("TRAIN", train_file, "features with known classes, .safetensors or .csv")->required();
  app.add_option("TEST", test_file, "features to classify")->required();
  app.option_defaults()->always_capture_default();
  app.add_option("-k", k, "number of neighbours that vote")->check(command_line::within(1, 1e6));
  app.add_option("--temperature", temperature, "the smaller, the more the nearest count")
      ->check(command_line::within(1e-3, 1e3));
  app.add_option("--threads", threads, "number of CPU threads")->check(command_line::within(1, 1024));
  command_line::parse_or_exit(app, [&] { app.parse(argc, argv); });
  command_line::use_threads(threads);

  const Features train = read_features(train_file), test = read_features(test_file);
  check(train.rows.shape()[1] == test.rows.shape()[1], "knn", "the features of TRAIN have ", train.rows.shape()[1],
        " numbers, those of TEST ", test.rows.shape()[1], ": they are of different models");
  std::set<std::string> names;
  for (const std::string& picture : train.pictures) {
    check(!class_of(picture).empty(), "knn", "the class of a picture is the folder that it is in, but ", picture,
          " of TRAIN is named without one");
    names.insert(class_of(picture));
  }
  const std::vector<std::string> classes(names.begin(), names.end());
  check(classes.size() >= 2, "knn", "the class of a picture is the folder that it is in, and all of TRAIN are in ",
        Quoted{classes.empty() ? "" : classes.front()}, ", but it takes two classes to tell them apart");
  const Labels known = labels_of(train, classes), wanted = labels_of(test, classes);
  const std::size_t neighbours = std::min(static_cast<std::size_t>(k), known.size());

  const Tensor to = normalised(train.rows), from = normalised(test.rows);
  Index right = 0, among_five = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto at = static_cast<Index>(i);
    const std::vector<real> cosines = matmul(slice(from, 0, at, at + 1), to, {.trans_b = true}).values();
    std::vector<std::size_t> order(cosines.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::partial_sort(
        order.begin(), order.begin() + static_cast<std::ptrdiff_t>(neighbours), order.end(),
        [&](std::size_t a, std::size_t b) { return cosines[a] != cosines[b] ? cosines[a] > cosines[b] : a < b; });
    std::vector<double> votes(classes.size());
    for (std::size_t n = 0; n < neighbours; ++n)
      votes[static_cast<std::size_t>(known[order[n]])] +=
          std::exp((double{cosines[order[n]]} - double{cosines[order[0]]}) / temperature);  // of the nearest 1
    const double own = votes[static_cast<std::size_t>(wanted[i])];
    const auto before = std::count_if(votes.begin(), votes.end(), [&](double other) { return other > own; });
    const auto first = std::max_element(votes.begin(), votes.end()) - votes.begin();
    right += first == wanted[i];
    among_five += before < 5 && own > 0;
  }
  const auto share = [&](Index count) { return static_cast<double>(count) / static_cast<double>(wanted.size()); };
  std::printf("train     %s features of %s numbers, %s classes\n", with_commas(to.shape()[0]).c_str(),
              with_commas(to.shape()[1]).c_str(), with_commas(static_cast<Index>(classes.size())).c_str());
  std::printf("test      %s features\n", with_commas(from.shape()[0]).c_str());
  std::printf("k         %zu\n", neighbours);
  std::printf("accuracy  %.4f\n", share(right));
  if (classes.size() > 5) std::printf("top 5     %.4f\n", share(among_five));
  command_line::check_printed();
} catch (const std::exception& error) {
  return command_line::exit_code("knn", error);
}
