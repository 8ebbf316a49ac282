// A JPEG or PNG file as an Image, and back as PNG.
#pragma once
#include <filesystem>

#include "data/images/image.h"

namespace bobbin {

/// Reads a JPEG or PNG picture, whatever its name, as grey (channels = 1) or as red, green and blue (3).
///
/// - Colours become grey as in Pillow's convert("L"). Of 16 bits a channel the upper 8 are taken; transparency is left
///   out, as in Pillow's convert("RGB").
/// - Colour profiles, gamma and the orientation that cameras note (EXIF) are not looked at, as in torchvision.
/// - JPEG leaves a decoder some freedom: levels differ by a few from what libjpeg decodes. PNG is exact.
///
/// Throws Error, which names the file, if it is neither a JPEG nor a PNG, ends too soon, has a false checksum (PNG),
/// cannot be decoded, or has more than 16384 pixels on a side, 2^26 in all, or 2^28 bytes. A JPEG has no checksum:
/// damage in its middle may go unnoticed, but gives the same picture each time.
Image read_image(const std::filesystem::path& path, Index channels);

/// Whether the file's name ends, in capitals or not, as that of a picture that read_image() reads in this build.
bool has_picture_name(const std::filesystem::path& path);

/// Looks at a picture without decoding it: its header and size, and that the file is whole to its end. Fast, so that
/// a data set can be looked through before the work begins. Throws Error, which names the file, for most of what
/// read_image() refuses.
void check_picture(const std::filesystem::path& path);

/// Writes a picture of one or three channels as PNG. Throws Error for another number of channels, if there are not
/// as many bytes as pixels, and where write_file() does.
void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace bobbin
