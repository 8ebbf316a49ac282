// Classifies images.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/features.h"
#include "apps/common/model_flags.h"
#include "data/files/write_file.h"
#include "data/images/codec.h"
#include "data/sets/check_pictures.h"
#include "data/sets/find_files.h"
#include "optim/training/data_parallel.h"
#include "tensor/backend.h"
#include "tensor/comm.h"
#include "tensor/functions.h"
#include "tensor/text.h"
#include "tensor/threads.h"

using namespace bobbin;

namespace {

struct Settings {
  std::string model;
  ModelFileOptions options;
  std::vector<std::string> pictures;
  int top_k = 5, threads = default_threads();
  std::string format = "table", features;
  Precision precision = Precision::float32;
  bool logits = false, skip_bad = false;
};

Settings parse_command_line(int argc, char** argv) {
  Settings s;
  CLI::App app("Classifies images: the most probable classes of each, or the logits of all classes.", "classify");
  command_line::add_model(app, s.model, s.options);
  app.add_option("IMAGE", s.pictures, "picture files, folders of them, or - to read their names from stdin")
      ->required();
  app.option_defaults()->always_capture_default();
  CLI::Option* top_k = app.add_option("-k,--top-k", s.top_k, "number of classes to print per image")
                           ->check(command_line::within(1, 1e6));
  CLI::Option* format = app.add_option("--format", s.format, "output format");
  command_line::choose_from({"table", "csv", "json"}, format);
  CLI::Option* logits = app.add_flag("--logits", s.logits, "print the logits of all classes, in the model's order");
  app.add_option("--features", s.features,
                 "write what the model's head sees of each image into this file instead, .safetensors or .csv: for "
                 "build/knn, and for whatever learns from numbers; the model needs no head")
      ->check(command_line::ends_in({".safetensors", ".csv"}))
      ->excludes(top_k, format, logits);
  logits->excludes(top_k);
  app.add_option("--threads", s.threads, "number of CPU threads")->check(command_line::within(1, 1024));
  command_line::add_precision(app, s.precision);
  app.add_flag("--skip-bad", s.skip_bad,
               "end with exit code 0 though images cannot be read, which are listed either way");
  command_line::parse_or_exit(app, [&] { app.parse(argc, argv); });
  s.options.features = !s.features.empty();
  return s;
}

// Those of rank 0.
std::vector<std::filesystem::path> broadcast(const std::vector<std::filesystem::path>& files) {
  std::string names;  // each ends with a 0
  for (const auto& file : files) names += file.string() + '\0';
  names = comm::broadcast(std::move(names));
  std::vector<std::filesystem::path> all;
  for (std::size_t at = 0; at < names.size(); at = names.find('\0', at) + 1) all.emplace_back(names.c_str() + at);
  return all;
}

// What each rank has of some rows, each of which one rank has or none; all of them on each.
std::vector<std::vector<real>> of_all_ranks(const std::vector<std::vector<real>>& rows) {
  std::vector<double> lengths;
  for (const auto& row : rows) lengths.push_back(static_cast<double>(row.size()));
  lengths = comm::sum_of_all_ranks(std::move(lengths));
  std::vector<double> numbers;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    numbers.insert(numbers.end(), rows[i].begin(), rows[i].end());
    if (rows[i].empty()) numbers.resize(numbers.size() + static_cast<std::size_t>(lengths[i]));
  }
  numbers = comm::sum_of_all_ranks(std::move(numbers));
  std::vector<std::vector<real>> all;
  auto next = numbers.begin();
  for (const double length : lengths) {
    const auto end = next + static_cast<std::ptrdiff_t>(length);
    all.emplace_back(next, end);
    next = end;
  }
  return all;
}

// The files that the command line names: pictures, folders of them, and "-", which stands for the lines of stdin. Of
// several ranks only the first has that.
std::vector<std::filesystem::path> list_pictures(const std::vector<std::string>& named) {
  std::vector<std::filesystem::path> pictures;
  if (comm::rank() > 0) return broadcast(pictures);
  for (const std::string& name : named) {
    if (name == "-") {
      for (const std::string& line : lines_of(std::string(std::istreambuf_iterator<char>(std::cin), {})))
        if (!line.empty()) pictures.emplace_back(line);
    } else if (std::filesystem::is_directory(name)) {
      const Files inside = find_files(name);
      const std::string others = inside.describe_others();
      check(!inside.pictures.empty(), "classify", "the folder ", name, " holds no picture",
            others.empty() ? "" : ", but ", others);
      if (!others.empty()) std::fprintf(stderr, "classify: left out in %s: %s\n", name.c_str(), others.c_str());
      pictures.insert(pictures.end(), inside.pictures.begin(), inside.pictures.end());
    } else {
      pictures.emplace_back(name);
    }
  }
  return broadcast(pictures);
}

// What is said of a class: its probability, or its logit.
struct Answer {
  std::string class_name;
  double value;
};

Tensor pixels(const Classifier& classifier, const std::filesystem::path& picture) {
  const Image image = read_image(picture, classifier.model.config().num_channels(), !classifier.preprocess.no_exif);
  return to_tensor(image, classifier.preprocess);
}

// Of numbers for all classes, in the model's order.
std::vector<Answer> answers_of(const std::vector<real>& values, const Classifier& classifier, const Settings& s) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (!s.logits) {
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
    order.resize(std::min(order.size(), static_cast<std::size_t>(s.top_k)));
  }
  std::vector<Answer> answers;
  for (const std::size_t i : order) answers.push_back({classifier.class_names[i], values[i]});
  return answers;
}

class Printer {
 public:
  Printer(const Settings& s, std::size_t widest_class) : s_(s), width_(widest_class) {
    if (s.format == "csv") std::printf("image,class,%s\n", value_name());
    if (s.format == "json") std::fputs("[", stdout);
  }

  void print(const std::string& picture, const std::vector<Answer>& answers) {
    if (s_.format == "json") {
      nlohmann::ordered_json classes = nlohmann::ordered_json::array();
      for (const Answer& a : answers) classes.push_back({{"class", a.class_name}, {value_name(), a.value}});
      const nlohmann::ordered_json entry = {{"image", picture}, {"classes", classes}};
      // A file name need not be UTF-8, but JSON must.
      const auto replace = nlohmann::ordered_json::error_handler_t::replace;
      std::printf("%s\n%s", first_ ? "" : ",", entry.dump(-1, ' ', false, replace).c_str());
    } else if (s_.format == "csv") {
      for (const Answer& a : answers)
        std::printf("%s,%s,%.9g\n", csv_field(picture).c_str(), csv_field(a.class_name).c_str(), a.value);
    } else {
      std::printf("%s%s\n", first_ ? "" : "\n", picture.c_str());
      for (const Answer& a : answers)
        std::printf(s_.logits ? "  %s  %.9g\n" : "  %s  %.4f\n", padded(a.class_name, width_).c_str(), a.value);
    }
    first_ = false;
  }

  void end() const {
    if (s_.format == "json") std::puts("\n]");
  }

 private:
  const char* value_name() const { return s_.logits ? "logit" : "probability"; }
  const Settings& s_;
  std::size_t width_;
  bool first_ = true;
};

}  // namespace

int main(int argc, char** argv) try {
  wait_briefly(argv);
  const Settings s = parse_command_line(argc, argv);
  const bool speaks = command_line::speaks_for_all_ranks();
  command_line::use_threads(s.threads);
  const ProductsIn precision(s.precision);
  if (s.precision != Precision::float32 && speaks) std::fprintf(stderr, "classify: %s\n", backend::describe().c_str());
  if (!s.features.empty() && speaks) check_can_write(s.features);  // before the work
  Classifier classifier = command_line::read_model("classify", s.model, s.options);
  share_model(state_of(classifier.model), (s.features.empty() ? "classes are wanted\n" : "features are wanted\n") +
                                              command_line::same_on_all_ranks(classifier, s.precision));
  if (const AnyConfig config = classifier.model.config(); !s.features.empty())  // a model that gives none says so first
    classifier.model.features(
        Tensor::zeros({1, config.num_channels(), config.img_size().height, config.img_size().width}));
  std::vector<std::filesystem::path> pictures = list_pictures(s.pictures);
  if (!s.features.empty()) check_room_for_names(s.features, pictures);
  const std::vector<BadPicture> bad = find_bad_pictures(pictures);
  if (!bad.empty()) {
    const std::string others = bad.size() < pictures.size() ? "the others are classified" : "";
    if (speaks) std::fprintf(stderr, "classify: %s\n", describe(bad, pictures.size(), others).c_str());
    std::set<std::filesystem::path> files;
    for (const BadPicture& b : bad) files.insert(b.file);
    std::erase_if(pictures, [&](const auto& picture) { return files.contains(picture); });
  }

  std::size_t unreadable = bad.size();
  // use(picture, numbers) for what ask() makes of each that can be read. One at a time, so that a logit depends on its
  // picture alone. Several ranks share those of each round.
  const auto for_each = [&](const auto& ask, const auto& use) {
    const std::size_t ranks = static_cast<std::size_t>(comm::size()), round = ranks == 1 ? 1 : 8 * ranks;
    for (std::size_t first = 0; first < pictures.size(); first += round) {
      const std::size_t count = std::min(round, pictures.size() - first);
      std::vector<std::vector<real>> rows(count);
      for (std::size_t i = static_cast<std::size_t>(comm::rank()); i < count; i += ranks) try {
          std::vector<real> row = ask(pictures[first + i]).values();
          check(std::all_of(row.begin(), row.end(), [](real x) { return std::isfinite(x); }), "classify",
                pictures[first + i], ": the model's numbers for it are not finite");
          rows[i] = std::move(row);
        } catch (const Error& error) {
          std::fprintf(stderr, "classify: %s\n", error.what());
        }
      if (ranks > 1) rows = of_all_ranks(rows);
      for (std::size_t i = 0; i < count; ++i) rows[i].empty() ? void(++unreadable) : use(pictures[first + i], rows[i]);
    }
  };
  if (!s.features.empty()) {
    Features features;
    std::vector<real> rows;
    for_each([&](const auto& picture) { return classifier.model.features(pixels(classifier, picture)).value(); },
             [&](const auto& picture, const std::vector<real>& row) {
               rows.insert(rows.end(), row.begin(), row.end());
               features.pictures.push_back(picture.string());
             });
    check(!rows.empty(), "classify", "no image could be read, so there are no features to write");
    const Index count = static_cast<Index>(features.pictures.size());
    features.rows = Tensor({count, static_cast<Index>(rows.size()) / count}, rows);
    if (speaks) write_features(s.features, features);
    std::printf("%s: features of %s images, %s numbers each\n", s.features.c_str(),
                with_commas(features.rows.shape()[0]).c_str(), with_commas(features.rows.shape()[1]).c_str());
    command_line::check_printed();
    return unreadable > 0 && !s.skip_bad;
  }

  std::size_t widest = 0;
  for (const std::string& name : classifier.class_names) widest = std::max(widest, letters(name));
  Printer printer(s, widest);
  for_each(
      [&](const auto& picture) {
        const Tensor logits = classifier.model(pixels(classifier, picture)).value();  // (1, num_classes)
        return s.logits ? logits : classifier.probabilities(logits);
      },
      [&](const auto& picture, const std::vector<real>& values) {
        printer.print(picture.string(), answers_of(values, classifier, s));
      });
  printer.end();
  command_line::check_printed();
  return unreadable > 0 && !s.skip_bad;
} catch (const std::exception& error) {
  return command_line::exit_code("classify", error);
}
