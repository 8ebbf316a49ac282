// How a picture was held when it was taken, which cameras note beside its pixels.
#pragma once
#include <optional>
#include <vector>

#include "data/codecs/codec_file.h"

namespace bobbin {

/// What a file says of its picture beside the pixels.
struct Notes {
  std::optional<std::vector<std::uint8_t>> exif{};
  std::vector<std::uint8_t> xmp{};
};

/// The orientation from 1 to 8 (TIFF 6.0, Orientation), which upright() turns: that of Exif, with or without the name
/// "Exif\0\0" before it, or of a whole TIFF; where it has none, that of XMP. What Pillow's ImageOps.exif_transpose does
/// not turn is 1: another value, one that is text or bytes, and damaged notes, over which it would stop.
int orientation(const std::optional<CodecFile::Bytes>& exif, CodecFile::Bytes xmp);

}  // namespace bobbin
