// Evaluates a model on a data set: metrics, confusion matrix and the worst mistakes.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/judge.h"
#include "apps/common/model_flags.h"
#include "data/drawing/confusion.h"
#include "data/drawing/contact_sheet.h"
#include "data/files/write_file.h"
#include "data/images/codec.h"
#include "data/sets/check_pictures.h"
#include "data/sets/open.h"
#include "optim/training/data_parallel.h"
#include "optim/training/evaluate.h"
#include "tensor/backend.h"
#include "tensor/functions.h"
#include "tensor/text.h"
#include "tensor/threads.h"

using namespace bobbin;
namespace fs = std::filesystem;

namespace {

struct Settings {
  std::string model, data_dir, split = "test", output_dir;
  ModelFileOptions options;
  Precision precision = Precision::float32;
  Index batch_size = 64;
  int mistakes = 40, threads = default_threads();
  bool by_number = false, skip_bad = false;
  Tta tta = Tta::none;
};

Settings parse_command_line(int argc, char** argv) {
  Settings s;
  CLI::App app(
      "Evaluates a model on a data set: accuracy, also balanced, macro F1, loss, precision and recall of each class, "
      "the "
      "confusion matrix (also as confusion.png), and the worst mistakes (mistakes.png).",
      "evaluate");
  command_line::add_model(app, s.model, s.options);
  app.option_defaults()->always_capture_default();
  app.add_option("--data-dir,--data", s.data_dir, "folder of the data set [Fashion-MNIST, if found]");
  command_line::choose_from(
      {"test", "train"},
      app.add_option("--split", s.split, "part of the data set: the images to validate, or those to train on"));
  app.add_option("--output-dir", s.output_dir, "folder for confusion.png and mistakes.png [the model's]");
  app.add_option("--mistakes", s.mistakes, "number of mistakes to draw")->check(command_line::within(0, 1000));
  app.add_option("-b,--batch-size", s.batch_size, "images per batch")->check(command_line::within(1, 4096));
  app.add_option("--threads", s.threads, "number of CPU threads")->check(command_line::within(1, 1024));
  command_line::add_precision(app, s.precision);
  Fields fields;
  fields("tta", s.tta,
         {.help = "flip: also say how good it is with logits averaged over each image and its mirror image",
          .choices = {"none", "flip"}});
  command_line::add_flags(app, fields);
  app.add_flag("--by-number", s.by_number, "match classes of model and data set by number, not by name");
  app.add_flag("--skip-bad", s.skip_bad,
               "leave out images in folders that cannot be read, each of which is decoded once more to see");
  command_line::parse_or_exit(app, [&] { app.parse(argc, argv); });
  if (s.output_dir.empty()) s.output_dir = fs::path(s.model).parent_path().string();
  if (s.output_dir.empty()) s.output_dir = ".";
  return s;
}

void check_same_classes(const Classifier& classifier, const TrainAndTest& set, bool by_number) {
  const std::vector<std::string>&model = classifier.class_names, &data = set.train.class_names;
  check(model.size() == data.size(), "evaluate", "the model knows ", model.size(), " classes, ", set.name, " has ",
        data.size(), " (--data-dir says which data set it is)");
  for (std::size_t c = 0; c < model.size(); ++c)
    check(by_number || classifier.may_be(c, data[c]), "evaluate", "class ", c, " is \"", model[c],
          "\" for the model and \"", data[c], "\" in ", set.name, "; if they are the same, say --by-number");
}

// Where one class is most of the images, accuracy alone says little.
void print_balance(const ConfusionMatrix& m, const std::vector<std::string>& names) {
  const Index largest = m.largest_class();
  std::printf("balanced accuracy  %.4f, the mean of the classes' recalls\n", m.balanced_accuracy());
  std::printf("macro F1           %.4f, the mean of the classes' F1 scores\n", m.macro_f1());
  std::printf("largest class      %.4f, the accuracy of always saying \"%s\"\n",
              static_cast<double>(m.of(largest)) / static_cast<double>(m.total()),
              names[static_cast<std::size_t>(largest)].c_str());
}

void print_classes(const ConfusionMatrix& m, const std::vector<std::string>& names) {
  std::size_t widest = 5;
  for (const std::string& name : names) widest = std::max(widest, letters(name));
  const auto number = [](double value) { return std::isnan(value) ? "-" : format("%.4f", value); };
  std::printf("\n%s  precision  recall   images\n", padded("class", widest).c_str());
  for (Index c = 0; c < m.num_classes(); ++c)
    std::printf("%s  %9s  %6s  %7lld%s\n", padded(names[static_cast<std::size_t>(c)], widest).c_str(),
                number(m.precision(c)).c_str(), number(m.recall(c)).c_str(), static_cast<long long>(m.of(c)),
                m.taken_for(c) == 0 ? "  never predicted" : "");
}

// A row for each true class, a column for each predicted one, which has the row's number at its head.
void print_matrix(const ConfusionMatrix& m, const std::vector<std::string>& names) {
  std::puts("\nrows: what it is; columns: what it was taken for");
  std::printf("%4s", "");
  for (Index p = 0; p < m.num_classes(); ++p) std::printf(" %6lld", static_cast<long long>(p));
  for (Index t = 0; t < m.num_classes(); ++t) {
    std::printf("\n%4lld", static_cast<long long>(t));
    for (const Index count : m.counts()[static_cast<std::size_t>(t)])
      std::printf(" %6lld", static_cast<long long>(count));
    std::printf("  %s", names[static_cast<std::size_t>(t)].c_str());
  }
  std::puts("");
}

Image draw_mistakes(const ImageDataset& data, const std::vector<Mistake>& mistakes) {
  std::vector<Image> pictures;
  std::vector<std::string> captions;
  for (const Mistake& m : mistakes) {
    const auto name = [&](int c) { return data.class_names[static_cast<std::size_t>(c)]; };
    const std::string percent = format(" %.0f%%", 100 * m.probability);
    pictures.push_back(thumbnail(data.image(m.image), largest_tile));  // a thousand photographs would fill the memory
    captions.push_back(name(data.labels[static_cast<std::size_t>(m.image)]) + "\ntaken for\n" + name(m.predicted) +
                       percent);
  }
  return contact_sheet(pictures, captions, 8);
}

}  // namespace

int main(int argc, char** argv) try {
  wait_briefly(argv);
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  const Settings s = parse_command_line(argc, argv);
  const bool speaks = command_line::speaks_for_all_ranks();
  command_line::use_threads(s.threads);
  const ProductsIn precision(s.precision);
  if (s.precision != Precision::float32) std::printf("products  %s\n", backend::describe().c_str());
  Classifier classifier = command_line::read_model("evaluate", s.model, s.options);
  check(classifier.scores == Scores::softmax, "evaluate", s.model,
        " gives each class a probability of its own, so that ",
        "a picture may have several classes or none, which is not supported: in a data set each has one");
  TrainAndTest both =
      image_data(s.data_dir, classifier.preprocess, classifier.model.config().num_channels(), IfOther::convert);
  ImageDataset& data = s.split == "test" ? both.test : both.train;
  check_same_classes(classifier, both, s.by_number);

  const fs::path confusion_file = fs::path(s.output_dir) / "confusion.png",
                 mistakes_file = fs::path(s.output_dir) / "mistakes.png";
  if (speaks) {
    make_folder(s.output_dir);  // before the work
    for (const fs::path& file : {confusion_file, mistakes_file}) check_can_write(file);
  }
  share_model(state_of(classifier.model),
              format("%lld images of %s, %lld of them at a time", static_cast<long long>(data.count()), s.split.c_str(),
                     static_cast<long long>(s.batch_size)) +
                  (s.tta == Tta::flip ? ", with --tta flip" : "") + (s.skip_bad ? ", with --skip-bad\n" : "\n") +
                  command_line::same_on_all_ranks(classifier, s.precision));
  check_pictures(data, s.skip_bad);
  std::printf("data      %s, the images to %s\n", both.name.c_str(), s.split == "test" ? "validate" : "train on");
  for (const std::string& note : data.notes) std::printf("%s\n", note.c_str());

  Judgement result = judge(classifier.model, data, s.batch_size);
  std::printf("accuracy  %.4f\nloss      %.4f\nimages    %lld\n", result.means.accuracy, result.means.loss,
              static_cast<long long>(result.confusion.total()));
  print_balance(result.confusion, data.class_names);
  if (s.tta == Tta::flip) {
    const Evaluation e = evaluate(classifier.model, data, s.batch_size, {}, {}, s.tta);
    std::printf("\nwith --tta flip\naccuracy  %.4f\nloss      %.4f\n", e.accuracy, e.loss);
  }
  if (!speaks) return 0;
  print_classes(result.confusion, data.class_names);
  if (data.num_classes() <= 40) print_matrix(result.confusion, data.class_names);  // more do not fit in a line

  const auto write = [&](const fs::path& path, const Image& picture) {
    write_png(path, picture);
    std::printf("%s\n", path.c_str());
  };
  std::puts("");
  if (data.num_classes() <= 200)  // more do not fit in a picture
    write(confusion_file, confusion_matrix_picture(result.confusion.counts(), data.class_names));
  result.mistakes.resize(std::min(result.mistakes.size(), static_cast<std::size_t>(s.mistakes)));
  if (!result.mistakes.empty()) write(mistakes_file, draw_mistakes(data, result.mistakes));
  command_line::check_printed();
  return 0;
} catch (const std::exception& error) {
  return command_line::exit_code("evaluate", error);
}
