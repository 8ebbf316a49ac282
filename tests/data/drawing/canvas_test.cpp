#include "data/drawing/canvas.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "data/drawing/axis.h"
#include "data/drawing/color_scale.h"
#include "data/drawing/confusion.h"
#include "data/drawing/contact_sheet.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

using Levels = std::vector<int>;

Levels at(const Image& image, Index x, Index y) {
  Levels levels;
  for (Index c = 0; c < image.channels; ++c)
    levels.push_back(image.bytes.at(static_cast<std::size_t>((c * image.height + y) * image.width + x)));
  return levels;
}

const Levels is_white{255, 255, 255}, is_black{0, 0, 0};

// The picture as text: '#' where it is black.
std::string as_text(const Image& image) {
  std::string text;
  for (Index y = 0; y < image.height; ++y) {
    for (Index x = 0; x < image.width; ++x) text += at(image, x, y) == is_black ? '#' : '.';
    text += '\n';
  }
  return text;
}

Image text_picture(const std::string& text, Index scale = 1) {
  const Size2 size = text_size(text, scale);
  Image image = blank(size.height, size.width);
  draw_text(image, 0, 0, text, black, scale);
  return image;
}

}  // namespace

TEST_CASE("canvas: fill draws what lies inside") {
  for (Index x = -4; x <= 6; ++x)
    for (Index y = -4; y <= 8; ++y)
      for (Index size : {0, 1, 3, 100}) {
        Image image = blank(7, 5, {1, 2, 3});
        fill(image, x, y, size, size + 1, {10, 20, 30});
        bool right = image.bytes.size() == 3 * 5 * 7;
        for (Index j = 0; j < 7; ++j)
          for (Index i = 0; i < 5; ++i) {
            const bool inside = i >= x && i < x + size && j >= y && j < y + size + 1;
            right = right && at(image, i, j) == (inside ? Levels{10, 20, 30} : Levels{1, 2, 3});
          }
        CHECK(right);
      }
}

TEST_CASE("canvas: paste, enlarged, over the edge, grey") {
  const Image grey{1, 2, 2, {10, 20, 30, 40}}, color{3, 1, 2, {1, 2, 3, 4, 5, 6}};
  Image image = blank(6, 7);
  paste(image, 1, -1, grey, 3);
  paste(image, 6, 5, color);
  for (Index y = 0; y < 6; ++y)
    for (Index x = 0; x < 7; ++x) {
      int level = 255;
      if (x >= 1 && y < 5) level = (y < 2 ? 10 : 30) + (x < 4 ? 0 : 10);
      CHECK(at(image, x, y) == (x == 6 && y == 5 ? Levels{1, 3, 5} : Levels{level, level, level}));
    }
}

TEST_CASE("canvas: text, letter by letter") {
  CHECK(as_text(text_picture("ag")) ==
        "............\n"
        "............\n"
        ".###...####.\n"
        "....#.#...#.\n"
        ".####.#...#.\n"
        "#...#.#...#.\n"
        ".####..####.\n"
        "..........#.\n"
        ".......###..\n"
        "............\n");
  std::set<std::string> letters;
  for (char letter = ' '; letter <= '~'; ++letter) letters.insert(as_text(text_picture({letter})));
  CHECK(letters.size() == 95);  // no two alike
  CHECK(as_text(text_picture(" ")).find('#') == std::string::npos);
  CHECK(as_text(text_picture("gr\xc3\xb6\xc3\x9f"
                             "e\t")) == as_text(text_picture("gr??e?")));
  CHECK(as_text(text_picture("\xff\xe6")) == as_text(text_picture("??")));

  Image enlarged = blank(60, 72);
  paste(enlarged, 0, 0, text_picture("a\nbQ"), 3);
  CHECK(text_size("a\nbQ", 3) == Size2(60, 36));
  Image drawn = blank(60, 72);
  draw_text(drawn, 0, 0, "a\nbQ", black, 3);
  CHECK(drawn.bytes == enlarged.bytes);
  draw_text(drawn, -20, 55, std::string(100, 'x'), black, 7);  // beyond each edge
  CHECK(text_size("") == Size2(10, 0));
}

TEST_CASE("canvas: turned to the left") {
  const Image turned = turned_left({1, 2, 3, {1, 2, 3, 4, 5, 6}});
  CHECK(turned.height == 3);
  CHECK(turned.width == 2);
  CHECK(turned.bytes == std::vector<std::uint8_t>{3, 6, 2, 5, 1, 4});
}

TEST_CASE("canvas: inferno, against matplotlib's table") {
  const int table[][4] = {{0, 0, 0, 4},        {7, 3, 2, 16},        {37, 41, 11, 85},
                          {100, 144, 37, 104}, {128, 188, 55, 84},   {187, 248, 133, 15},
                          {222, 249, 199, 47}, {250, 245, 249, 146}, {255, 252, 255, 164}};
  for (const auto& want : table) {
    const Color got = inferno(want[0] / 255.0);
    CHECK(std::abs(got.red - want[1]) <= 5);
    CHECK(std::abs(got.green - want[2]) <= 5);
    CHECK(std::abs(got.blue - want[3]) <= 5);
  }
  CHECK(inferno(-3).blue == 4);
  CHECK(inferno(3).red == 252);
  // Seen in grey, more is lighter.
  const auto luma = [](const Color& color) { return .299 * color.red + .587 * color.green + .114 * color.blue; };
  for (int i = 1; i < 64; ++i) CHECK(luma(inferno(i / 63.0)) > luma(inferno((i - 1) / 63.0)));
}

TEST_CASE("canvas: a map over a picture") {
  const Image picture{1, 4, 4, std::vector<std::uint8_t>(16, 100)};
  const Tensor map({2, 2}, {-7, 0, 1.5, 3});
  const Image none = overlay(picture, map, 3, 0), all = overlay(picture, map, 3, 1),
              half = overlay(picture, map, 3, 0.5);
  CHECK(at(none, 2, 2) == Levels{100, 100, 100});
  const Levels lowest{0, 0, 4}, highest{252, 255, 164};
  for (Index y = 0; y < 2; ++y)  // a number over each quarter
    for (Index x = 0; x < 2; ++x) {
      CHECK(at(all, x, y) == lowest);
      CHECK(at(all, x + 2, y) == lowest);
      CHECK(at(all, x, y + 2) == Levels{187, 55, 84});  // half of 3: matplotlib's inferno(.5) is 188, 55, 84
      CHECK(at(all, x + 2, y + 2) == highest);
    }
  CHECK(at(half, 1, 0) == Levels{50, 50, 52});
  CHECK(at(half, 3, 3) == Levels{176, 178, 132});  // (100 + 252) / 2, (100 + 255) / 2 and (100 + 164) / 2
  CHECK(at(overlay(picture, map, 1.5, 1), 0, 2) == highest);
  CHECK(at(overlay(picture, map, 1.5, 1), 2, 2) == highest);  // beyond the end
  CHECK(overlay(picture, Tensor::zeros({3, 5}), 1, 1).bytes == blank(4, 4, {0, 0, 4}).bytes);
  // Of colours the luma: .299·200 + .587·100 + .114·50 = 124.2.
  const Image color{3, 1, 1, {200, 100, 50}};
  CHECK(at(overlay(color, map, 3, 0), 0, 0) == Levels{124, 124, 124});

  // Of any size, the picture or the map.
  CHECK(at(overlay(color, Tensor::full({3, 5}, 1), 1, 1), 0, 0) == highest);
  const Image wide{1, 1, 4096, std::vector<std::uint8_t>(4096, 100)};
  const Image over_wide = overlay(wide, Tensor({1, 3}, {0, 1, 0}), 1, 1);
  CHECK(at(over_wide, 1365, 0) == lowest);  // 4096 / 3 = 1365.3
  CHECK(at(over_wide, 1366, 0) == highest);
  CHECK(at(over_wide, 2730, 0) == highest);
  CHECK(at(over_wide, 2731, 0) == lowest);
  CHECK(overlay(Image{1, 0, 0, {}}, map, 1, 1).bytes.empty());

  CHECK(fails([&] { overlay(picture, Tensor({1, 2}, {0, NAN}), 1, 1); }, {"not finite"}));
  CHECK(fails([&] { overlay(picture, Tensor({1, 2}, {0, INFINITY}), 1, 1); }, {"not finite"}));
  CHECK(fails([&] { overlay(picture, Tensor::ones({4}), 1, 1); }, {"(4)"}));
  CHECK(fails([&] { overlay(picture, map, 1, 1.5); }, {"1.5"}));
  for (const double end : {0.0, -2.0, double{NAN}, double{INFINITY}})
    CHECK(fails([&] { overlay(picture, map, end, 1); }, {"must be positive"}));
  Image grey = picture;
  CHECK(fails([&] { fill(grey, 0, 0, 1, 1, black); }, {"3 channels"}));
}

TEST_CASE("color_scale: the colours as on black and on white, a number at each tick, and what it is about") {
  const Axis axis = axis_of(0, 0.073, 5);
  CHECK(axis.ticks().size() == 5);  // 0, 2, 4, 6 and 8 %
  const std::string text = "share of the whole,\nin percent";
  const Image scale = color_scale(axis, 0.7, text);
  CHECK(scale.width == 400 + 2 * 12);  // the bar, half of the last number, and as much again
  CHECK(scale.height == 32 + 6 + 6 + 20 + 6 + 2 * 20);
  for (Index x : {0, 133, 399}) {
    const Color color = inferno(x / 399.0);
    const auto over = [&](int ground) {
      const auto level = [&](int over_it) { return static_cast<int>(std::lround(ground + (over_it - ground) * 0.7)); };
      return Levels{level(color.red), level(color.green), level(color.blue)};
    };
    for (Index y : {0, 15}) CHECK(at(scale, x, y) == over(0));
    for (Index y : {16, 31}) CHECK(at(scale, x, y) == over(255));
  }
  // All that is black: the ticks, the numbers and the text.
  Image want = blank(scale.height, scale.width);
  const Index ticks[] = {0, 100, 200, 299, 399};
  for (int i = 0; i < 5; ++i) {
    fill(want, ticks[i], 32, 1, 6, black);
    draw_text(want, std::max<Index>(ticks[i] - 12, 0), 44, std::to_string(2 * i) + "%", black, 2);
  }
  draw_text(want, 0, 70, text, black, 2);
  const auto below_bar = [](const Image& image) {
    return as_text(image).substr(static_cast<std::size_t>(32 * (image.width + 1)));
  };
  CHECK(below_bar(scale) == below_bar(want));

  CHECK(color_scale(axis, 0, "").height == scale.height - 20);
  CHECK(color_scale(axis, 1, std::string(100, 'm')).width == 1200);
  for (const double end : {1e-30, 1e-7, 0.999, 1.0, 12345.0}) {  // no number is cut off
    const Image any = color_scale(axis_of(0, end, 5), 1, "");
    bool clear = true;
    for (Index y = 44; y < 64; ++y) clear = clear && at(any, any.width - 1, y) == is_white;
    CHECK(clear);
  }
  CHECK(fails([&] { color_scale({0, 0, 1}, 1, ""); }, {"from 0 to 0"}));
  CHECK(fails([&] { color_scale({1, 2, 1}, 1, ""); }, {"from 1 to 2"}));
  CHECK(fails([&] { color_scale(axis, 7, ""); }, {"got 7"}));
}

TEST_CASE("axis: round numbers that reach both values") {
  const auto is = [](const Axis& got, double begin, double end, double step) {
    CHECK(got.begin == doctest::Approx(begin));
    CHECK(got.end == doctest::Approx(end));
    CHECK(got.step == doctest::Approx(step));
  };
  is(axis_of(0, 0.073, 5), 0, 0.08, 0.02);
  is(axis_of(0, 0.1, 5), 0, 0.1, 0.02);
  is(axis_of(0, 1, 5), 0, 1, 0.2);
  is(axis_of(0, 0, 5), 0, 1, 0.2);  // of nothing, something
  is(axis_of(-3, 14), -5, 15, 5);
  CHECK(axis_of(0, 0.3, 3).ticks() == std::vector<double>{0, 0.1, 0.2, 3 * 0.1});
}

TEST_CASE("contact_sheet: pictures of any size, in rows, with captions") {
  const Image small{1, 28, 28, std::vector<std::uint8_t>(28 * 28, 10)},
      wide{3, 10, 56, std::vector<std::uint8_t>(1680, 20)};
  const Image sheet = contact_sheet({small, wide, small}, {"a", "b\nc", std::string(1000, 'm')}, 2);
  CHECK(sheet.width == 2 * (400 + 8) + 8);
  CHECK(sheet.height == 2 * (112 + 20 + 16) + 8);
  CHECK(at(sheet, 8, 8) == Levels{10, 10, 10});
  CHECK(at(sheet, 8 + 111, 8 + 111) == Levels{10, 10, 10});
  CHECK(at(sheet, 8 + 112, 8 + 111) == is_white);
  CHECK(at(sheet, 8 + 408, 8 + 45) == is_white);  // enlarged twice, in the middle of its square
  CHECK(at(sheet, 8 + 408, 8 + 46) == Levels{20, 20, 20});
  CHECK(at(sheet, 8 + 408 + 111, 8 + 65) == Levels{20, 20, 20});
  CHECK(at(sheet, 8 + 408, 8 + 66) == is_white);
  CHECK(at(sheet, 8, 8 + 148) == Levels{10, 10, 10});
  CHECK(at(sheet, 8 + 1, 8 + 112 + 4 + 2) == is_black);  // of the letter a

  // Twice as large captions, and a picture below all.
  const Image legend = blank(30, 500, {1, 2, 3}), with_legend = contact_sheet({small, wide}, {"a", "b"}, 2, 2, legend);
  CHECK(with_legend.width == 500 + 2 * 8);
  CHECK(with_legend.height == (112 + 20 + 16) + (30 + 8) + 8);
  CHECK(at(with_legend, 8, 8 + 148) == Levels{1, 2, 3});
  CHECK(at(with_legend, 8 + 499, 8 + 148 + 29) == Levels{1, 2, 3});
  CHECK(at(with_legend, 8 + 499, 8 + 148 + 30) == is_white);
  for (Index dot = 0; dot < 2; ++dot) CHECK(at(with_legend, 8 + 2 + dot, 8 + 112 + 4 + 4 + dot) == is_black);

  CHECK(contact_sheet({}, {}, 3).bytes.size() == 3 * 8 * 8);
  CHECK(contact_sheet({}, {}, 3, 2, legend).width == 500 + 2 * 8);
  CHECK(fails([&] { contact_sheet({small}, {}, 3); }, {"1 pictures", "got 0"}));
  CHECK(fails([&] { contact_sheet({small}, {""}, 0); }, {"got 0"}));
}

TEST_CASE("contact_sheet: large pictures are thumbnails, and what would be too large a sheet fits") {
  const auto grey = [](Index height, Index width) {
    return Image{1, height, width, std::vector<std::uint8_t>(static_cast<std::size_t>(height * width), 90)};
  };
  const Image photographs = contact_sheet({grey(3024, 4032), grey(4032, 3024)}, {"a", "b"}, 8);
  CHECK(photographs.width == 2 * (256 + 8) + 8);
  CHECK(at(photographs, 8, 8 + 31) == is_white);  // 256 x 192, in the middle of its square
  CHECK(at(photographs, 8, 8 + 32) == Levels{90, 90, 90});
  CHECK(at(photographs, 8 + 255, 8 + 32 + 191) == Levels{90, 90, 90});
  CHECK(at(photographs, 8, 8 + 32 + 192) == is_white);

  const TempFolder folder;
  const std::string long_caption = std::string(66, 'm') + "\n2\n3\n4\n5\n6\n7\n8\n9\n10";
  const struct {
    std::size_t count;
    Image picture;
    std::string caption;
    Index columns;
  } sheets[] = {{1000, grey(28, 28), "shirt\ntaken for\ncoat 90%", 8},
                {1000, grey(600, 20), long_caption, 8},
                {40 * 24, grey(518, 518), "block 39, head 23", 24},
                {500, grey(28, 28), "block 0, head 499", 500}};
  for (const auto& s : sheets) {
    const Image sheet =
        contact_sheet(std::vector<Image>(s.count, s.picture), std::vector<std::string>(s.count, s.caption), s.columns);
    CHECK(std::max(sheet.height, sheet.width) <= 16384);
    CHECK(sheet.height * sheet.width <= Index{1} << 26);
    CHECK(at(sheet, 8 + sheet.width / 2, sheet.height - 4) == is_white);
  }
  CHECK(fails(
      [&] { contact_sheet(std::vector<Image>(3000, grey(1, 1)), std::vector<std::string>(3000, long_caption), 8); },
      {"3000 pictures with such captions do not fit"}));
}

TEST_CASE("confusion_matrix: with 200 classes and a million images of one it can still be written") {
  std::vector<std::vector<Index>> counts(200, std::vector<Index>(200, 1000000));
  const Image picture = confusion_matrix_picture(counts, std::vector<std::string>(200, std::string(40, 'm')));
  CHECK(picture.height <= 8192);
  CHECK(picture.height * picture.width <= Index{1} << 26);
}

TEST_CASE("confusion_matrix: the part of its row is the colour of a cell") {
  const Image picture = confusion_matrix_picture({{9, 1, 0}, {0, 0, 0}, {0, 5, 5}}, {"a", "b", "c"});
  // Lines of 20 pixels; left of the cells a margin, "true", a name, half a margin. A cell has 8 pixels more than a
  // line.
  const Index left = 20 + 20 + 12 + 10, cell = 28;
  CHECK(picture.width == left + 3 * cell + 20);
  CHECK(picture.height == picture.width);
  const auto corner = [&](Index t, Index p) { return at(picture, left + p * cell, left + t * cell); };
  CHECK(corner(0, 0) == Levels{33, 83, 142});    // 255 + 0.9·(end - 255), for the ends 8, 64, 129
  CHECK(corner(0, 1) == Levels{230, 236, 242});  // 0.1
  for (Index p = 0; p < 3; ++p) CHECK(corner(1, p) == is_white);
  CHECK(corner(2, 1) == corner(2, 2));
  CHECK(corner(2, 1) == Levels{132, 160, 192});

  const auto count = [&](Index t, Index p, const Levels& color) {
    int pixels = 0;
    for (Index y = 0; y < cell - 1; ++y)
      for (Index x = 0; x < cell - 1; ++x) pixels += at(picture, left + p * cell + x, left + t * cell + y) == color;
    return pixels;
  };
  const auto points = [](const std::string& number) {
    const std::string text = as_text(text_picture(number));
    return 4 * static_cast<int>(std::count(text.begin(), text.end(), '#'));  // each 2 x 2 pixels
  };
  CHECK(count(0, 0, is_white) == points("9"));
  CHECK(count(0, 1, is_black) == points("1"));
  CHECK(count(0, 2, is_black) == 0);
  CHECK(count(2, 2, is_black) == points("5"));
}

TEST_CASE("confusion_matrix: many classes, long names, and what cannot be") {
  const auto zeros = [](std::size_t n) { return std::vector<std::vector<Index>>(n, std::vector<Index>(n)); };
  const std::vector<std::string> hundred(100, "a class with a name that nobody would ever want to read to its end\n\n");
  const Image picture = confusion_matrix_picture(zeros(100), hundred);
  CHECK(picture.width == 10 + 10 + 240 + 5 + 100 * 14 + 10);
  CHECK(fails([&] { confusion_matrix_picture(zeros(2), {"a", "b", "c"}); }, {"3 classes", "got 2"}));
  CHECK(fails([&] { confusion_matrix_picture({{1, 2}, {1}}, {"a", "b"}); }, {"columns, got 1"}));
  CHECK(fails([&] { confusion_matrix_picture({{-1}}, {"a"}); }, {"-1"}));
  CHECK(fails([&] { confusion_matrix_picture({}, {}); }, {"got 0"}));
  CHECK(fails([&] { confusion_matrix_picture(zeros(201), std::vector<std::string>(201)); }, {"got 201"}));
}
