#include "data/drawing/curves.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>

#include "data/drawing/axis.h"
#include "data/drawing/xml.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

struct Quantity {
  const char* name;
  Points Curves::*points;
  const char* dashes;  // lengths of lines and gaps
};
constexpr Quantity quantities[] = {{"train_loss", &Curves::train_loss, "none"},
                                   {"val_loss", &Curves::val_loss, "6,3"},
                                   {"val_acc", &Curves::val_acc, "9,3,2,3"}};

// matplotlib's C0 to C9.
constexpr const char* colors[] = {"#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd",
                                  "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"};
constexpr const char* grey = "#444444";

// Where things are, in pixels: the axes, one pair of them below the other, and the legend at their right.
constexpr double left = 70, right = 550, first_top = 40, height = 300, next_top = 380;
constexpr double legend_left = right + 20, line_height = 20;

// A name as it stands in the picture: of a long one, the beginning and the end.
struct Label {
  std::string text;
  double width = 0;  // about

  explicit Label(const std::string& name) {
    std::vector<std::string> letters = xml_letters(name);
    if (letters.size() > 32) {
      letters.erase(letters.begin() + 15, letters.end() - 16);
      letters.insert(letters.begin() + 15, "…");
    }
    for (const std::string& letter : letters) {
      text += letter;
      width += letter.size() > 1 || std::isupper(static_cast<unsigned char>(letter[0])) ? 14 : 9;
    }
  }
};

bool drawable(const std::pair<double, double>& point) {
  return std::abs(point.first) < 1e100 && std::abs(point.second) < 1e100;  // and so neither infinite nor NaN
}

// The values of these quantities in all runs.
std::vector<double> values(const std::vector<Curves>& runs, std::initializer_list<Points Curves::*> which) {
  std::vector<double> all;
  for (const Curves& run : runs)
    for (const auto points : which)
      for (const auto& point : run.*points)
        if (drawable(point)) all.push_back(point.second);
  return all;
}

// At least 0.
double highest(const std::vector<double>& values) {
  return values.empty() ? 0 : std::max(0.0, *std::max_element(values.begin(), values.end()));
}

double lowest(const std::vector<double>& values) {
  return values.empty() ? 0 : *std::min_element(values.begin(), values.end());
}

double median_size(std::vector<double> values) {
  if (values.empty()) return 0;
  for (double& value : values) value = std::abs(value);
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Axis epochs_axis(const std::vector<Curves>& runs) {
  double last = 1;
  for (const Curves& run : runs)
    for (const Quantity& q : quantities)
      for (const auto& point : run.*q.points)
        if (drawable(point)) last = std::max(last, std::ceil(point.first));
  return {0, last, round_step(std::max(1.0, last / 10))};
}

class Picture {
 public:
  // Begins a pair of axes, below those that are there. What is drawn from now on lies in them.
  void axes(Axis x, Axis y, const std::string& above_left, const std::string& above_right) {
    x_ = x;
    y_ = y;
    top_ = axes_++ == 0 ? first_top : top_ + next_top;
    for (const double tick : x.ticks()) {
      const double at = place(tick, y.begin).first;
      line(at, top_, at, bottom(), "#e4e4e4", 1);
      text(at, bottom() + 18, "middle", format("%g", tick));
    }
    for (const double tick : y.ticks()) {
      const double at = place(x.begin, tick).second;
      line(left, at, right, at, "#e4e4e4", 1);
      text(left - 8, at + 4, "end", format("%g", tick));
    }
    svg_ += format("<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" fill=\"none\" stroke=\"%s\"/>\n", left, top_,
                   right - left, height, grey);
    svg_ += format("<clipPath id=\"axes%d\"><rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\"/></clipPath>\n", axes_,
                   left, top_, right - left, height);
    text((left + right) / 2, bottom() + 40, "middle", "epoch");
    text(left, top_ - 14, "start", above_left);
    text(right, top_ - 14, "end", above_right);
  }

  // A line through the points, with a gap where there is none, and a dot for one that stands alone.
  void curve(const Points& points, const char* color, const char* dashes) {
    for (auto at = points.begin(); at != points.end();) {
      at = std::find_if(at, points.end(), drawable);
      const auto end = std::find_if_not(at, points.end(), drawable);
      if (end - at == 1) dot(*at, color);
      if (end - at >= 2) {
        svg_ += format("<polyline clip-path=\"url(#axes%d)\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\" ", axes_,
                       color) +
                format("stroke-linejoin=\"round\" stroke-dasharray=\"%s\" points=\"", dashes);
        for (; at != end; ++at) svg_ += coordinates(*at);
        svg_ += "\"/>\n";
      }
      at = end;
    }
  }

  // The next line of the legend: a piece of line, and what it stands for.
  void legend(const std::string& name, const char* color, const char* dashes) {
    const Label label(name);
    const double y = first_top + 10 + line_height * legend_lines_++;
    line(legend_left, y, legend_left + 30, y, color, 2, dashes);
    text(legend_left + 38, y + 4, "start", label.text);
    width_ = std::max(width_, legend_left + 38 + label.width);
  }

  void text(double x, double y, const char* anchor, const std::string& xml) {
    svg_ += format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor) + xml + "</text>\n";
  }

  std::string svg() const {
    const double end = std::max(bottom() + 60, first_top + 20 + line_height * legend_lines_);
    return format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%g\" height=\"%g\" viewBox=\"0 0 %g %g\" ", width_,
                  end, width_, end) +
           format("font-family=\"sans-serif\" font-size=\"13\" fill=\"%s\">\n", grey) +
           "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n" + svg_ + "</svg>\n";
  }

 private:
  double bottom() const { return top_ + height; }
  std::pair<double, double> place(double x, double y) const {
    return {left + (right - left) * x_.part(x), bottom() - height * y_.part(y)};
  }
  std::string coordinates(const std::pair<double, double>& point) const {
    const auto [x, y] = place(point.first, point.second);
    return format("%.1f,%.1f ", std::clamp(x, -1e4, 1e4), std::clamp(y, -1e4, 1e4));  // far outside is far enough
  }
  void dot(const std::pair<double, double>& point, const char* color) {
    const auto [x, y] = place(point.first, point.second);
    if (y >= top_ && y <= bottom())
      svg_ += format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x, y, color);
  }
  void line(double x0, double y0, double x1, double y1, const char* color, double width, const char* dashes = "none") {
    svg_ += format("<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"%s\" stroke-width=\"%g\" stroke-dasharray=\"%s\"/>\n", x0,
                   y0, x1, y1, color, width, dashes);
  }

  Axis x_{}, y_{};
  int axes_ = 0;
  double top_ = first_top;
  std::string svg_;
  double width_ = right + 20;
  int legend_lines_ = 0;
};

}  // namespace

std::string curves_svg(const std::vector<Curves>& runs) {
  const std::vector<double> losses = values(runs, {&Curves::train_loss, &Curves::val_loss});
  const std::vector<double> accuracies = values(runs, {&Curves::val_acc});
  const double worst = highest(losses), best = highest(accuracies), usual = std::max(3 * median_size(losses), best);
  const bool spike = worst > 3 * usual, one = runs.size() == 1;
  const double loss_begin = std::min(0.0, lowest(losses)), loss_end = spike ? usual : worst;
  const Axis epochs = epochs_axis(runs);

  Picture picture;
  picture.axes(epochs, axis_of(loss_begin, one ? std::max(loss_end, best) : loss_end),
               one ? Label(runs[0].name).text : "loss",
               losses.empty() ? "no epoch is finished"
               : spike        ? format("losses up to %.3g are cut off", worst)
                              : "");
  for (std::size_t q = 0; q < std::size(quantities); ++q) {
    if (!one && quantities[q].points == &Curves::val_acc)
      picture.axes(epochs, axis_of(lowest(accuracies), best), "accuracy", "");
    for (std::size_t r = 0; r < runs.size(); ++r)
      picture.curve(runs[r].*quantities[q].points, colors[(one ? q : r) % std::size(colors)], quantities[q].dashes);
    picture.legend(quantities[q].name, one ? colors[q] : grey, quantities[q].dashes);
  }
  for (std::size_t r = 0; r < runs.size() && !one; ++r)
    picture.legend(runs[r].name, colors[r % std::size(colors)], "none");
  return picture.svg();
}

}  // namespace bobbin
