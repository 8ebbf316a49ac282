#pragma once
#include <string>
#include <vector>

#include "data/images/image.h"

namespace bobbin {

/// The longest side of a picture on a contact sheet, in pixels; a larger one is drawn as its thumbnail().
inline constexpr Index largest_tile = 256;

/// Pictures, grey or in colours and of any sizes, in rows of so many columns, with a caption below each, which may have
/// several lines; what has no room on 10 lines of 66 letters, at text_scale 1, is cut off. Small pictures are enlarged
/// by a whole factor, so that their pixels can be seen. `legend` is drawn below all as it is. A sheet that write_png()
/// would refuse has smaller tiles, or another number of columns; 1000 pictures always fit, at text_scale 1 and without
/// a legend. Throws Error unless there is a caption for each picture and a column, and if the pictures do not fit.
Image contact_sheet(const std::vector<Image>& pictures, const std::vector<std::string>& captions, Index columns,
                    Index text_scale = 1, const Image& legend = {});

}  // namespace bobbin
