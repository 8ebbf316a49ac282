#include "data/drawing/confusion.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "data/drawing/canvas.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

using Counts = std::vector<std::vector<Index>>;

void check_counts(const Counts& counts, std::size_t classes) {
  check(classes >= 1 && classes <= 200, "confusion_matrix_picture", "draws 1 to 200 classes, got ", classes);
  check(counts.size() == classes, "confusion_matrix_picture", classes, " classes need as many rows, got ",
        counts.size());
  for (const auto& row : counts) {
    check(row.size() == classes, "confusion_matrix_picture", classes, " classes need as many columns, got ",
          row.size());
    for (const Index count : row) check(count >= 0, "confusion_matrix_picture", "a count cannot be ", count);
  }
}

// From white to dark blue.
Color shade(double part) {
  const auto level = [&](double end) { return static_cast<std::uint8_t>(std::lround(255 + (end - 255) * part)); };
  return {level(8), level(64), level(129)};
}

// A line of text, of which only the first 40 letters are drawn.
Image line_of(const std::string& text, Index scale) {
  const Size2 room = text_size(std::string(40, ' '), scale);
  Image picture = blank(room.height, std::min(room.width, text_size(text, scale).width));
  draw_text(picture, 0, 0, text, black, scale);
  return picture;
}

void draw_cell(Image& picture, Index x, Index y, Index size, Index count, double part, Index scale) {
  fill(picture, x, y, size, size, {220, 220, 220});
  fill(picture, x, y, size - 1, size - 1, shade(part));
  if (count == 0) return;
  const std::string number = std::to_string(count);
  const Size2 room = text_size(number, scale);
  if (room.width > size) return;
  draw_text(picture, x + (size - room.width + scale) / 2, y + (size - room.height) / 2 + scale, number,
            part > 0.5 ? white : black, scale);
}

double share(Index part, Index all) {
  return all > 0 ? static_cast<double>(part) / static_cast<double>(all) : std::numeric_limits<double>::quiet_NaN();
}

// Over the classes for which it is a number.
template <class F>
double mean(const ConfusionMatrix& m, const F& of_class) {
  double sum = 0;
  int count = 0;
  for (Index c = 0; c < m.num_classes(); ++c)
    if (const double value = of_class(c); !std::isnan(value)) sum += value, ++count;
  return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(Index num_classes) {
  check(num_classes >= 1, "ConfusionMatrix", "needs a class, got ", num_classes);
  const auto classes = static_cast<std::size_t>(num_classes);
  counts_.assign(classes, std::vector<Index>(classes));
}

void ConfusionMatrix::add(int truth, int predicted) {
  for (const int c : {truth, predicted})
    check(c >= 0 && c < num_classes(), "ConfusionMatrix", "there is no class ", c, " of ", num_classes());
  ++counts_[static_cast<std::size_t>(truth)][static_cast<std::size_t>(predicted)];
}

Index ConfusionMatrix::total() const {
  Index sum = 0;
  for (Index c = 0; c < num_classes(); ++c) sum += of(c);
  return sum;
}

Index ConfusionMatrix::of(Index c) const {
  const std::vector<Index>& row = counts_.at(static_cast<std::size_t>(c));
  return std::accumulate(row.begin(), row.end(), Index{0});
}

Index ConfusionMatrix::taken_for(Index c) const {
  Index sum = 0;
  for (const auto& row : counts_) sum += row.at(static_cast<std::size_t>(c));
  return sum;
}

double ConfusionMatrix::precision(Index c) const {
  const auto at = static_cast<std::size_t>(c);
  return share(counts_.at(at)[at], taken_for(c));
}

double ConfusionMatrix::recall(Index c) const {
  const auto at = static_cast<std::size_t>(c);
  return share(counts_.at(at)[at], of(c));
}

double ConfusionMatrix::f1(Index c) const {
  const auto at = static_cast<std::size_t>(c);
  return share(2 * counts_.at(at)[at], of(c) + taken_for(c));
}

double ConfusionMatrix::macro_f1() const {
  return mean(*this, [this](Index c) { return f1(c); });
}

double ConfusionMatrix::balanced_accuracy() const {
  return mean(*this, [this](Index c) { return recall(c); });
}

Index ConfusionMatrix::largest_class() const {
  Index largest = 0;
  for (Index c = 1; c < num_classes(); ++c)
    if (of(c) > of(largest)) largest = c;
  return largest;
}

Image confusion_matrix_picture(const Counts& counts, const std::vector<std::string>& class_names) {
  check_counts(counts, class_names.size());
  const auto classes = static_cast<Index>(class_names.size()), scale = classes <= 20 ? Index{2} : Index{1};
  std::vector<Image> names;
  Index names_width = 0, numbers_width = 0;  // of the longest
  for (const std::string& name : class_names) {
    names.push_back(line_of(name, scale));
    names_width = std::max(names_width, names.back().width);
  }
  for (const auto& row : counts)
    for (const Index count : row)
      numbers_width = std::max(numbers_width, text_size(std::to_string(count), scale).width);

  const Index line = text_size("", scale).height, margin = line;
  const Index left = margin + line + names_width + margin / 2;  // of the cells, and above them
  // A picture of more than 2^26 pixels could not be written: there, cells have only their colours.
  const Index widest = (8000 - left - margin) / classes, needed = std::max(numbers_width, line) + 4 * scale;
  const Index cell = std::min(needed, widest);
  const Index side = left + classes * cell + margin;
  Image picture = blank(side, side);
  paste(picture, margin / 2, left, turned_left(line_of("true", scale)));
  draw_text(picture, left, margin / 2, "predicted", black, scale);
  for (Index t = 0; t < classes; ++t) {
    const Image& name = names[static_cast<std::size_t>(t)];
    const std::vector<Index>& row = counts[static_cast<std::size_t>(t)];
    const Index begin = left - margin / 2 - name.width, middle = left + t * cell + (cell - line) / 2 + scale;
    paste(picture, begin, middle, name);
    paste(picture, middle, begin, turned_left(name));
    const auto all = static_cast<double>(std::max<Index>(std::accumulate(row.begin(), row.end(), Index{0}), 1));
    for (Index p = 0; p < classes; ++p) {
      const Index count = row[static_cast<std::size_t>(p)];
      draw_cell(picture, left + p * cell, left + t * cell, cell, count, static_cast<double>(count) / all, scale);
    }
  }
  return picture;
}

}  // namespace bobbin
