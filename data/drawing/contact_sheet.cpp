#include "data/drawing/contact_sheet.h"

#include <algorithm>

#include "data/drawing/canvas.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

constexpr Index margin = 8, usual_tile = 112, smallest_tile = 48;
constexpr Index most_on_a_side = 16384, most_pixels = Index{1} << 26;  // what write_png() takes

// Where the pictures go: each into a square, with room for its caption below.
struct Layout {
  Index count, columns, side;
  Size2 room;    // for the largest caption
  Size2 legend;  // with its margin

  Index step_x() const { return std::max(side, room.width) + margin; }
  Index step_y() const { return side + room.height + 2 * margin; }
  Index width() const { return std::max(std::min(count, columns) * step_x(), legend.width) + margin; }
  Index height() const { return (count + columns - 1) / columns * step_y() + legend.height + margin; }
  bool fits() const { return std::max(width(), height()) <= most_on_a_side && width() * height() <= most_pixels; }

  // A row that is too long goes on in the next. Then the tiles become smaller, the rows longer, and the tiles smaller
  // still.
  void make_fit() {
    const auto longest_row = [&] { return (most_on_a_side - margin) / step_x(); };
    columns = std::min(columns, longest_row());
    for (const Index smallest : {usual_tile, smallest_tile}) {
      while (!fits() && side > smallest) side = std::max(smallest, side * 7 / 8);
      while (!fits() && columns < longest_row()) ++columns;
    }
    check(fits(), "contact_sheet", count, " pictures with such captions do not fit into one of at most ",
          most_on_a_side, " pixels on a side and ", most_pixels, " in all");
  }
};

}  // namespace

Image contact_sheet(const std::vector<Image>& pictures, const std::vector<std::string>& captions, Index columns,
                    Index text_scale, const Image& legend) {
  check(pictures.size() == captions.size(), "contact_sheet", pictures.size(), " pictures need as many captions, got ",
        captions.size());
  check(columns >= 1, "contact_sheet", "needs 1 column or more, got ", columns);

  Layout at{static_cast<Index>(pictures.size()), columns, usual_tile, Size2(0, usual_tile), Size2(0, 0)};
  if (legend.height > 0) at.legend = {legend.height + margin, legend.width + margin};
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const Size2 text = text_size(captions[i], text_scale);
    at.side = std::max(at.side, std::min(largest_tile, std::max(pictures[i].height, pictures[i].width)));
    at.room = {std::max(at.room.height, text.height), std::max(at.room.width, text.width)};
  }
  at.room = {std::min<Index>(at.room.height, 100), std::min<Index>(at.room.width, 400)};
  at.make_fit();

  Image sheet = blank(at.height(), at.width());
  for (Index i = 0; i < at.count; ++i) {
    const Image picture = thumbnail(pictures[static_cast<std::size_t>(i)], at.side);
    const Index x = margin + i % at.columns * at.step_x(), y = margin + i / at.columns * at.step_y();
    const Index scale = at.side / std::max<Index>({picture.height, picture.width, 1});
    paste(sheet, x + (at.side - scale * picture.width) / 2, y + (at.side - scale * picture.height) / 2, picture, scale);
    Image caption = blank(at.room.height, at.room.width);
    draw_text(caption, 0, 0, captions[static_cast<std::size_t>(i)], black, text_scale);
    paste(sheet, x, y + at.side + margin / 2, caption);
  }
  paste(sheet, margin, sheet.height - at.legend.height, legend);
  return sheet;
}

}  // namespace bobbin
