// A picture's file as an Image, and back as PNG.
#pragma once
#include <filesystem>
#include <string>

#include "data/images/image.h"

namespace bobbin {

/// Reads a picture as grey (channels = 1) or as red, green and blue (3): JPEG, PNG, GIF, BMP, PBM, PGM and PPM, and
/// where the build found libwebp and libtiff, WebP and TIFF. The content decides, not the name.
///
/// - The bytes are those of Pillow's Image.open(path).convert("L") or .convert("RGB"), so also torchvision's. Only of a
///   PNG of 16 bits a channel in grey, which Pillow cuts off at 255, the upper 8 are taken, as those of colours are.
/// - Of several pictures in a file it is the first. Transparency is left out. Numbers of colours that a file does not
///   say are black.
/// - Unless `exif` is false it is turned as Pillow's ImageOps.exif_transpose turns it: by the orientation that cameras
///   note in Exif or XMP, of JPEG, PNG and WebP. That of a TIFF always is, as in Pillow.
/// - Colour profiles and gamma are not looked at, as in torchvision.
///
/// Throws Error, which names the file, if it is none of these, ends too soon, has a false checksum (PNG), cannot be
/// decoded, has more than 16384 pixels on a side, 2^26 in all, or 2^28 bytes, or is a JPEG of more than 100 scans. A
/// JPEG has no checksum: damage in its middle may go unnoticed, but gives the same picture each time, which is
/// libjpeg's.
Image read_image(const std::filesystem::path& path, Index channels, bool exif = true);

/// Whether the file's name ends, in capitals or not, as that of a picture that read_image() reads in this build.
bool has_picture_name(const std::filesystem::path& path);

/// Looks at a picture without decoding it: its header and size, and that the file is whole to its end. (A JPEG without
/// an end mark is decoded, which alone tells whether it is.) Fast, so that a data set can be looked through before the
/// work begins. Throws Error, which names the file, for most of what
/// read_image() refuses.
void check_picture(const std::filesystem::path& path);

/// The content of a PNG file with a picture of one or three channels. Throws Error for another number of channels, if
/// there are not as many bytes as pixels, or too many of them.
std::string to_png(const Image& image);

/// Writes a picture of one or three channels as PNG. Throws Error for another number of channels, if there are not
/// as many bytes as pixels, and where write_file() does.
void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace bobbin
