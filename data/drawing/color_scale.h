#pragma once
#include <string>

#include "data/drawing/axis.h"
#include "data/images/image.h"

namespace bobbin {

/// The legend of maps of shares that overlay() drew over pictures, from 0 to axis.end: a bar of their colours as they
/// are on black, above, and on white, below; a number in percent at each tick; and under it the text, whose lines '\n'
/// ends. Throws Error unless the axis begins at 0 and is of some length, and where overlay() does.
Image color_scale(const Axis& axis, double opacity, const std::string& text);

}  // namespace bobbin
