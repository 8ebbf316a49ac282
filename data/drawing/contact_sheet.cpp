#include "data/drawing/contact_sheet.h"

#include <algorithm>

#include "data/drawing/canvas.h"
#include "tensor/check.h"

namespace bobbin {

Image contact_sheet(const std::vector<Image>& pictures, const std::vector<std::string>& captions, Index columns) {
  check(pictures.size() == captions.size(), "contact_sheet", pictures.size(), " pictures need as many captions, got ",
        captions.size());
  check(columns >= 1, "contact_sheet", "needs 1 column or more, got ", columns);

  constexpr Index margin = 8;
  Index side = 112;     // of the square that each picture is enlarged into
  Size2 room(0, side);  // for the largest caption
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const Size2 text = text_size(captions[i]);
    side = std::max({side, pictures[i].height, pictures[i].width});
    room = {std::max(room.height, text.height), std::max(room.width, text.width)};
  }
  room = {std::min<Index>(room.height, 100), std::min<Index>(room.width, 400)};
  const Index step_x = std::max(side, room.width) + margin, step_y = side + room.height + 2 * margin;
  const auto count = static_cast<Index>(pictures.size());
  Image sheet = blank((count + columns - 1) / columns * step_y + margin, std::min(count, columns) * step_x + margin);
  for (Index i = 0; i < count; ++i) {
    const Image& picture = pictures[static_cast<std::size_t>(i)];
    const Index x = margin + i % columns * step_x, y = margin + i / columns * step_y;
    const Index scale = side / std::max<Index>({picture.height, picture.width, 1});
    paste(sheet, x + (side - scale * picture.width) / 2, y + (side - scale * picture.height) / 2, picture, scale);
    Image caption = blank(room.height, room.width);
    draw_text(caption, 0, 0, captions[static_cast<std::size_t>(i)]);
    paste(sheet, x, y + side + margin / 2, caption);
  }
  return sheet;
}

}  // namespace bobbin
