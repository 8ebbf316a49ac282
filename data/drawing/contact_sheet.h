#pragma once
#include <string>
#include <vector>

#include "data/images/image.h"

namespace bobbin {

/// Pictures, grey or in colours and of any sizes, in rows of so many columns, with a caption below each, which may have
/// several lines; what has no room on 10 lines of 66 letters is cut off. Small pictures are enlarged by a whole factor,
/// so that their pixels can be seen. Throws Error unless there is a caption for each picture and a column.
Image contact_sheet(const std::vector<Image>& pictures, const std::vector<std::string>& captions, Index columns);

}  // namespace bobbin
