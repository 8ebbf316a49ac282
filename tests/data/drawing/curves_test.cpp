#include "optim/log/metrics.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <regex>

#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// An element of a picture: its attributes, and the text in it.
struct Element {
  std::string name, text;
  std::map<std::string, std::string> attributes;
  double number(const std::string& attribute) const { return std::stod(attributes.at(attribute)); }
};

// The elements of an SVG picture. Demands what XML does, as far as curves_svg makes use of it.
std::vector<Element> elements_of(const std::string& svg) {
  std::vector<Element> elements;
  std::vector<std::string> open;
  static const std::regex tag("<(/?)(\\w+)((?: [\\w-]+=\"[^\"<&]*\")*)(/?)>([^<]*)"),
      attribute(" ([\\w-]+)=\"([^\"]*)\"");
  auto end = svg.begin();
  for (std::sregex_iterator it(svg.begin(), svg.end(), tag), last; it != last; ++it) {
    const std::smatch& m = *it;
    REQUIRE(m[0].first == end);  // nothing between the tags
    end = m[0].second;
    if (m[1].length() > 0) {
      REQUIRE(!open.empty());
      CHECK(open.back() == m[2]);
      open.pop_back();
      continue;
    }
    Element element{m[2], m[5], {}};
    const std::string all = m[3];
    for (std::sregex_iterator a(all.begin(), all.end(), attribute); a != last; ++a)
      CHECK(element.attributes.emplace((*a)[1], (*a)[2]).second);
    CHECK(!std::regex_search(element.text, std::regex("&(?!(amp|lt|gt);)")));
    elements.push_back(element);
    if (m[4].length() == 0) open.push_back(m[2]);
  }
  CHECK(end == svg.end());
  CHECK(open.empty());
  CHECK(!contains(svg, "nan"));
  CHECK(!contains(svg, "inf"));
  return elements;
}

std::vector<Element> of(const std::vector<Element>& elements, const std::string& name, const std::string& anchor = "") {
  std::vector<Element> some;
  for (const Element& e : elements)
    if (e.name == name && (anchor.empty() || e.attributes.at("text-anchor") == anchor)) some.push_back(e);
  return some;
}

bool says(const std::vector<Element>& elements, const std::string& text) {
  return std::any_of(elements.begin(), elements.end(), [&](const Element& e) { return e.text == text; });
}

// A number by its pixel: the line through two ticks.
struct Scale {
  double pixel0, value0, pixel1, value1;
  double operator()(double pixel) const { return value0 + (pixel - pixel0) / (pixel1 - pixel0) * (value1 - value0); }
};

Scale scale(const Element& first, const Element& last, const std::string& axis) {
  return {first.number(axis), std::stod(first.text), last.number(axis), std::stod(last.text)};
}

// The points of a line, read off the axes as a person would. (The text of a tick stands 4 pixels below it.)
Points read_off(const Element& polyline, const Scale& x, const Scale& y) {
  Points points;
  std::istringstream text(polyline.attributes.at("points"));
  char comma = 0;
  for (double px = 0, py = 0; text >> px >> comma >> py;) points.emplace_back(x(px), y(py + 4));
  return points;
}

void check_close(const Points& got, const Points& want, double tolerance) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i].first == doctest::Approx(want[i].first).epsilon(0.01));
    CHECK(std::abs(got[i].second - want[i].second) < tolerance);
  }
}

// d2l's run as published, losses of the first half epoch as given.
Curves d2l(double first_loss) {
  return {"d2l",
          {{0.25, first_loss}, {0.75, .903}, {1.25, .693}, {1.75, .636}, {2.25, .583}, {2.75, .544}},
          {{1, .688}, {2, .583}, {3, .534}},
          {{1, .7496}, {2, .7739}, {3, .8071}}};
}

}  // namespace

TEST_CASE("curves: what the lines say, read off the axes, is what was given") {
  const Curves run = d2l(3.003);
  const auto elements = elements_of(curves_svg({run}));
  const auto x_ticks = of(elements, "text", "middle"), y_ticks = of(elements, "text", "end");
  REQUIRE(x_ticks[3].text == "3");
  REQUIRE(y_ticks[7].text == "3.5");
  const Scale x = scale(x_ticks[0], x_ticks[3], "x"), y = scale(y_ticks[0], y_ticks[7], "y");
  const auto lines = of(elements, "polyline");
  REQUIRE(lines.size() == 3);
  check_close(read_off(lines[0], x, y), run.train_loss, 0.005);
  check_close(read_off(lines[1], x, y), run.val_loss, 0.005);
  check_close(read_off(lines[2], x, y), run.val_acc, 0.005);
  const char* colors[] = {"#1f77b4", "#ff7f0e", "#2ca02c"};
  for (std::size_t i = 0; i < 3; ++i) CHECK(lines[i].attributes.at("stroke") == colors[i]);
  CHECK(lines[0].attributes.at("stroke-dasharray") == "none");
  CHECK(lines[1].attributes.at("stroke-dasharray") != lines[2].attributes.at("stroke-dasharray"));
  for (const char* text : {"d2l", "epoch", "train_loss", "val_loss", "val_acc"}) CHECK(says(elements, text));
}

TEST_CASE("curves: a mean over an epoch stands in its middle") {
  const Curves run = curves(
      "x", {{1, 10, 2.5, loss_and_accuracy(2, 0.25), 0.1, 1, 1}, {2, 20, 1.5, loss_and_accuracy(1, 0.75), 0.1, 1, 1}});
  CHECK(run.train_loss == Points{{0.5, 2.5}, {1.5, 1.5}});
  CHECK(run.val_loss == Points{{1, 2}, {2, 1}});
  CHECK(run.val_acc == Points{{1, 0.25}, {2, 0.75}});
}

TEST_CASE("curves: a spike is cut off, and the picture says so") {
  const auto high = elements_of(curves_svg({d2l(10.4)}));
  CHECK(says(high, "losses up to 10.4 are cut off"));
  CHECK(of(high, "text", "end")[4].text == "2");  // above three times the median loss, .636
  CHECK(of(high, "text", "end")[5].text == "losses up to 10.4 are cut off");
  const auto moderate = elements_of(curves_svg({d2l(3.003)}));
  CHECK(std::none_of(moderate.begin(), moderate.end(), [](const Element& e) { return contains(e.text, "cut off"); }));

  Curves far = d2l(1e30);
  far.val_loss[1].second = -1e30;
  for (const Element& line : of(elements_of(curves_svg({far})), "polyline"))
    CHECK(line.attributes.at("points").size() < 150);
}

TEST_CASE("curves: losses below 0 lie within the axes") {
  for (const double last : {-3.0, 1.0, -0.5}) {  // such as the mean logarithm of a density
    CAPTURE(last);
    const Curves run{"x", {{0.5, 2}, {1.5, -1}, {2.5, last}}, {{1, -0.5}, {2, -2.5}, {3, last}}};
    for (const auto& runs : {std::vector<Curves>{run}, std::vector<Curves>{run, run}}) {
      const auto elements = elements_of(curves_svg(runs));
      const auto x_ticks = of(elements, "text", "middle");
      std::vector<Element> y_ticks;
      for (const Element& tick : of(elements, "text", "end"))
        if (!tick.text.empty() && tick.number("y") < 400) y_ticks.push_back(tick);
      CHECK(says(y_ticks, "0"));
      const Scale x = scale(x_ticks[0], x_ticks[3], "x"), y = scale(y_ticks.front(), y_ticks.back(), "y");
      const auto lines = of(elements, "polyline");
      check_close(read_off(lines[0], x, y), run.train_loss, 0.02);
      check_close(read_off(lines[runs.size()], x, y), run.val_loss, 0.02);
      for (const auto& points : {run.train_loss, run.val_loss})
        for (const auto& point : points) {
          CHECK(point.second >= y.value0);
          CHECK(point.second <= y.value1);
        }
    }
  }
}

TEST_CASE("curves: nothing, one epoch, gaps") {
  CHECK(says(elements_of(curves_svg({})), "no epoch is finished"));
  const auto none = elements_of(curves_svg({{"empty"}}));
  CHECK(says(none, "no epoch is finished"));
  CHECK(of(none, "polyline").empty());

  const auto one = elements_of(curves_svg({curves("x", {{1, 10, 2.5, loss_and_accuracy(2, 0.25), 0.1, 1, 1}})}));
  CHECK(of(one, "circle").size() == 3);
  CHECK(of(one, "polyline").empty());

  Curves gaps = d2l(3);
  gaps.train_loss[2].second = NAN;
  gaps.train_loss[4].second = std::numeric_limits<double>::infinity();
  gaps.val_loss = {{1, NAN}, {2, NAN}};
  const auto some = elements_of(curves_svg({gaps}));
  CHECK(of(some, "polyline").size() == 2);  // the first two points of train_loss, and val_acc
  CHECK(of(some, "circle").size() == 2);    // what stands alone

  for (const double value : {0.0, 1e-12, 1e30, 1e99, -2.0, double{NAN}})  // no axis is impossible
    elements_of(curves_svg({curves("x", {{1, 1, value, loss_and_accuracy(value, value), 1, 1, 1},
                                         {2, 2, value, loss_and_accuracy(value, value), 1, 1, 1}})}));
}

TEST_CASE("curves: several runs, each in its colour, the accuracies on an axis of their own") {
  std::vector<Curves> runs;
  for (int i = 0; i < 8; ++i) {
    runs.push_back(d2l(2));
    runs.back().name = "seed " + std::to_string(i);
    for (auto& point : runs.back().val_acc) point.second += 0.01 * i;
  }
  const auto elements = elements_of(curves_svg(runs));
  const auto lines = of(elements, "polyline");
  REQUIRE(lines.size() == 24);
  std::map<std::string, int> in_color, with_dashes;
  for (const Element& line : lines)
    ++in_color[line.attributes.at("stroke")], ++with_dashes[line.attributes.at("stroke-dasharray")];
  CHECK(in_color.size() == 8);
  CHECK(with_dashes.size() == 3);
  for (const Curves& run : runs) CHECK(says(elements, run.name));

  // The last of the runs' accuracies, read off the ticks of the second pair of axes.
  const auto x_ticks = of(elements, "text", "middle");
  std::vector<Element> y_ticks;
  for (const Element& tick : of(elements, "text", "end"))
    if (!tick.text.empty() && tick.number("y") > 400) y_ticks.push_back(tick);
  CHECK(std::stod(y_ticks.front().text) > 0.7);
  check_close(read_off(lines[23], scale(x_ticks[0], x_ticks[3], "x"), scale(y_ticks.front(), y_ticks.back(), "y")),
              runs[7].val_acc, 0.0005);
}

TEST_CASE("curves: a thousand epochs, and more runs than colours") {
  Curves run{"x"};
  for (int i = 1; i <= 1000; ++i) {
    run.train_loss.emplace_back(i - 0.5, 2.0 / i);
    run.val_loss.emplace_back(i, 3.0 / i);
    run.val_acc.emplace_back(i, 1 - 0.9 / i);
  }
  const auto elements = elements_of(curves_svg(std::vector<Curves>(25, run)));
  CHECK(of(elements, "polyline").size() == 75);
  CHECK(says(elements, "1000"));
  const Element& picture = elements[0];
  for (const Element& text : of(elements, "text")) CHECK(text.number("y") < picture.number("height"));
}

TEST_CASE("curves: any name is legible and valid XML") {
  const auto label = [](const std::string& name) {
    const auto elements = elements_of(curves_svg({{name}, {"b"}}));
    const auto texts = of(elements, "text", "start");
    return texts[texts.size() - 2].text;
  };
  CHECK(label("<a> & \"b\"") == "&lt;a&gt; &amp; \"b\"");
  CHECK(label("Größe 日本 😀") == "Größe 日本 😀");
  CHECK(label("a\x01\n\x7f\xff\xc0\x80") == "a??????");
  CHECK(label("\xed\xa0\x80") == "???");       // a surrogate
  CHECK(label("\xef\xbf\xbf") == "???");       // U+FFFF
  CHECK(label("\xf4\x90\x80\x80") == "????");  // beyond U+10FFFF
  CHECK(label("\xe6\x97") == "??");            // cut off
  CHECK(label(std::string(100, '&') + "end") == [] {
    std::string text;
    for (int i = 0; i < 15; ++i) text += "&amp;";
    text += "…";
    for (int i = 0; i < 13; ++i) text += "&amp;";
    return text + "end";
  }());
}
