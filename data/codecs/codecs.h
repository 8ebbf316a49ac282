#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "data/codecs/codec_file.h"
#include "data/codecs/exif.h"
#include "tensor/real.h"
#include "tensor/size2.h"

namespace bobbin {

/// The pixels of a picture as files have them: a line after the other, in each the channels of a pixel side by side.
struct Pixels {
  Size2 size;
  int channels;                     ///< 1, grey, or 3, red, green and blue
  std::vector<std::uint8_t> bytes;  ///< (H, W, C)
  std::uint8_t* line(Index y) { return bytes.data() + y * size.width * channels; }
  const std::uint8_t* line(Index y) const { return bytes.data() + y * size.width * channels; }

  Pixels(Size2 size, int channels)
      : size(size), channels(channels), bytes(static_cast<std::size_t>(size.height * size.width * channels)) {}
};

/// The colours of a picture whose pixels are numbers of colours. Colours that a file does not give are black.
using Palette = std::array<std::array<std::uint8_t, 3>, 256>;

/// Sets the colours of a palette from `count` on, which its file does not give: they are black; but where those before
/// are the greys in their order, the rest is, too.
void fill_rest(Palette& palette, std::size_t count);

/// The pixels, (H, W, 1), which are numbers of colours, as these colours.
Pixels look_up(const Palette& palette, const Pixels& numbers);

/// The line's `width` numbers of `bits` bits each, 1, 2, 4 or 8, the first in the highest bits, each in a byte.
void unpack_bits(const std::uint8_t* line, int bits, Index width, std::uint8_t* numbers);

/// What Pillow's convert("RGB") makes of (cyan, magenta, yellow, black): 255 is all the ink.
void cmyk_to_rgb(const std::uint8_t* cmyk, std::uint8_t* rgb);

/// The picture as it was seen, of pixels that lie in the file in one of eight ways (TIFF 6.0, Orientation): 1 is as it
/// was seen, and so is taken what is not from 1 to 8.
Pixels upright(Pixels pixels, int orientation);

/// A file format.
struct Codec {
  const char* name;
  bool (*recognises)(std::span<const std::uint8_t> file);  ///< by how the file begins
  /// Checks all that can be seen without decoding: above all that the file is whole. Returns the picture's size, which
  /// has not been checked. Throws Error.
  Size2 (*check)(CodecFile file);
  /// The pixels of a file that check() let pass and that has this size. Throws Error.
  Pixels (*decode)(CodecFile file, Size2 size);
  /// Whether a picture of a single colour packs to next to nothing, however large it is.
  bool plain_takes_no_room;
  /// What a file that check() let pass says beside its pixels; null: nothing that would turn the picture.
  Notes (*notes)(CodecFile file) = nullptr;
  /// Whether the end of a file that check() let pass does not show that all pixels are there, so that only decoding
  /// tells; null: never.
  bool (*may_lack_pixels)(CodecFile file) = nullptr;
};

extern const Codec jpeg_codec, png_codec, gif_codec, bmp_codec, pnm_codec;
extern const Codec webp_codec;  ///< only where BOBBIN_WEBP is defined
extern const Codec tiff_codec;  ///< only where BOBBIN_TIFF is defined

}  // namespace bobbin
