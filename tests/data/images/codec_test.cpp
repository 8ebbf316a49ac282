#include "data/images/codec.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "tests/data/files.h"
#include "tests/golden/golden.h"

using namespace bobbin;
using namespace bobbin::test;
namespace fs = std::filesystem;

namespace {

Bytes golden_bytes(const Golden& golden, const std::string& name) {
  const std::vector<int> numbers = golden.ints(name);
  return {numbers.begin(), numbers.end()};
}

const Golden& pictures() {
  static const Golden golden("pictures");
  return golden;
}

Bytes picture(const std::string& kind) { return golden_bytes(pictures(), kind + "/file"); }

const Golden& files() {
  static const Golden golden("picture_files");
  return golden;
}

// Whether this build reads pictures of this kind; some need a library.
bool is_read(const std::string& kind) { return has_picture_name("x." + kind.substr(0, kind.find_first_of(" ,"))); }

// What read_image says about a file with this content; "" if it takes it.
std::string complaint(const Bytes& content) {
  static const TempFolder folder;
  const fs::path path = folder / "some file";
  fs::remove(path);  // to write over a file makes some systems wait for the disk
  write_file(path, content);
  const std::string text = error_of([&] { read_image(path, 3); });
  if (!text.empty()) CHECK(contains(text, "[read_image] \"" + path.string() + "\" "));
  CHECK(!contains(text, "\n"));
  return text;
}

// The largest difference from what Pillow reads.
int difference(const std::string& kind, const std::string& as) {
  const TempFolder folder;
  const Image got = read_image(write_file(folder / "x", picture(kind)), as == "rgb" ? 3 : 1);
  const Bytes want = golden_bytes(pictures(), kind + "/" + as);
  CHECK(got.channels == (as == "rgb" ? 3 : 1));
  CHECK(got.height == 19);
  CHECK(got.width == 37);
  REQUIRE(got.bytes.size() == want.size());
  int worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) worst = std::max(worst, std::abs(got.bytes[i] - want[i]));
  return worst;
}

void big_endian(Bytes& bytes, std::size_t at, std::uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes[at++] = static_cast<std::uint8_t>(number >> shift);
}

// A PNG with other sizes in its header, and the checksum that belongs to them.
Bytes png_of_size(std::uint32_t width, std::uint32_t height) {
  Bytes png = picture("png rgb");
  big_endian(png, 16, width);
  big_endian(png, 20, height);
  big_endian(png, 29, static_cast<std::uint32_t>(crc32(0, png.data() + 12, 17)));
  return png;
}

}  // namespace

TEST_CASE("image_file: PNG pictures of each kind are what Pillow reads, to the bit") {
  for (const char* kind :
       {"png rgb", "png grey", "png rgba", "png grey alpha", "png palette", "png palette transparent", "png 1 bit"})
    for (const char* as : {"rgb", "grey"}) {
      CAPTURE(kind);
      CAPTURE(as);
      CHECK(difference(kind, as) == 0);
    }
  CHECK(difference("png 16 bits", "rgb") == 0);
  CHECK(difference("png 16 bits grey", "grey") == 0);
}

TEST_CASE("image_file: JPEG pictures of each kind are what Pillow reads, to the bit") {
  for (const char* kind : {"jpeg 4:2:0", "jpeg 4:4:4", "jpeg progressive", "jpeg grey", "jpeg cmyk"})
    for (const char* as : {"rgb", "grey"}) {
      CAPTURE(kind);
      CAPTURE(as);
      CHECK(difference(kind, as) == 0);
    }
}

TEST_CASE(
    "image_file: pictures of all formats, and damaged ones that libjpeg reads, are what Pillow reads, to the bit") {
  const TempFolder folder;
  std::istringstream kinds(files().meta("kinds"));
  for (std::string kind; std::getline(kinds, kind);) {
    if (!is_read(kind)) continue;
    CAPTURE(kind);
    const fs::path path = write_file(folder / "x", golden_bytes(files(), kind + "/file"));
    CHECK_NOTHROW(check_picture(path));
    for (const char* as : {"rgb", "grey"}) {
      CAPTURE(as);
      const Shape shape = files().tensor(kind + "/" + as).shape();  // (C, H, W)
      const Image image = read_image(path, shape[0]);
      CHECK(image.height == shape[1]);
      CHECK(image.width == shape[2]);
      CHECK(image.bytes == golden_bytes(files(), kind + "/" + as));
    }
  }
}

TEST_CASE("image_file: colours that a palette does not say are black, whatever was read before") {
  const TempFolder folder;
  const auto read = [&](const std::string& kind) {
    return read_image(write_file(folder / "x", golden_bytes(files(), kind + "/file")), 3).bytes;
  };
  for (const char* few : {"png 4 colours of 256", "bmp 3 colours of 256", "gif past its colours"}) {
    CAPTURE(few);
    const Bytes first = read(few);
    CHECK(std::count(first.begin(), first.end(), 0) > 100);
    for (const char* other : {"png 256 colours of 256", "bmp 256 colours of 256", "gif", "jpeg 4:2:0"}) {
      read(other);
      CHECK(read(few) == first);
    }
  }
}

TEST_CASE("image_file: the names of pictures") {
  for (const char* name : {"a.jpg", "b/a.JPEG", "a.jpe", "a.JfIf", "a.png", "a.b.GIF", "a.bmp", "a.dib", "a.pbm",
                           "a.pgm", "a.PPM", "a.pnm"})
    CHECK(has_picture_name(name));
  for (const char* name : {"", "a", "jpg", ".jpg", "a.jpg.txt", "a.jpgx", "a.heic", "a.svg", "a.txt", "a.jpg/"})
    CHECK(!has_picture_name(name));
}

TEST_CASE("image_file: a picture that is written is read again") {
  const TempFolder folder;
  const fs::path path = folder / "x.png";
  for (const Index channels : {Index{1}, Index{3}})
    for (const Size2 size : {Size2{1}, Size2{13, 40}, Size2{1, 300}, Size2{257, 2}}) {
      const Image image{channels, size.height, size.width,
                        noise(static_cast<std::size_t>(channels * size.height * size.width))};
      write_png(path, image);
      const Image again = read_image(path, channels);
      CHECK(Size2(again.height, again.width) == size);
      CHECK(again.bytes == image.bytes);
    }
  CHECK(fails([&] { write_png(path, {2, 3, 4, Bytes(24)}); }, {"1 channel or 3, got 2"}));
  CHECK(fails([&] { write_png(path, {3, 3, 4, Bytes(24)}); }, {"3 x 3 x 4 has 36 bytes, got 24"}));
  CHECK(fails([&] { write_png(path, {3, 0, 4, {}}); }, {"got 0 x 4"}));
  CHECK(fails([&] { write_png(path, {1, 1, Index{1} << 62, {}}); }, {"got 1 x 4611686018427387904"}));
  CHECK(fails([&] { write_png(folder / "none" / "x.png", {1, 1, 1, {7}}); }, {"No such file"}));
  CHECK(read_image(path, 3).height == 257);  // what was there stays
}

TEST_CASE("image_file: what is no picture is refused in one sentence") {
  const TempFolder folder;
  CHECK(fails([&] { read_image(folder / "none", 3); }, {"none\" cannot be opened: No such file"}));
  CHECK(fails([&] { read_image(folder.path(), 3); }, {"is a folder, expected a file"}));
  CHECK(fails([&] { read_image("/dev/zero", 3); }, {"is a device, expected a file"}));
  CHECK(fails([&] { read_image(folder / "none", 2); }, {"1 channel or 3, got 2"}));
  CHECK(contains(complaint({}), "is empty"));
  CHECK(
      contains(complaint({'<'}), "is neither a JPEG nor a PNG picture, nor one of the other kinds that are read (GIF"));
  const auto begins = [](const std::string& text) { return complaint(Bytes(text.begin(), text.end())); };
  CHECK(contains(begins(std::string("\0\0\0\x18"
                                    "ftypheic",
                                    12)),
                 "is a HEIC picture, which is not read"));
  CHECK(contains(begins(std::string("\0\0\0\x18"
                                    "ftypavif",
                                    12)),
                 "is an AVIF picture, which is not read"));
  CHECK(contains(begins("<!DOCTYPE html><html>404"), "is a page in HTML"));
  CHECK(contains(begins("<svg xmlns="), "is an SVG drawing"));
  CHECK(contains(begins("%PDF-1.4"), "is a PDF document"));
  CHECK(contains(begins("version https://git-lfs.github.com/spec/v1"), "git lfs pull"));
  CHECK(contains(begins("P5 3 2 65535\n            "), "is a PGM of 16 bits a pixel, expected 8"));
  for (const char* kind : {"webp", "tiff"})
    if (!is_read(kind))
      CHECK(contains(complaint(golden_bytes(files(), std::string(kind) + "/file")), "which this build does not read"));
}

TEST_CASE("image_file: a picture cut off at any byte is refused") {
  const auto cut_off = [](const std::string& kind, const Bytes& whole, std::size_t end = 0) {
    CAPTURE(kind);
    CHECK(complaint(whole) == "");
    for (std::size_t size = 0; size < whole.size() - end; ++size) {
      CAPTURE(size);
      const std::string text = complaint({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
      CHECK(text != "");
      if (size >= 14 && kind[0] != 'w' && kind[0] != 't')
        CHECK(contains(text, "is not whole: it ends after " + std::to_string(size) + " bytes"));
    }
    Bytes more = whole;  // as some cameras write it
    more.insert(more.end(), 1000, 0);
    CHECK(complaint(more) == "");
  };
  for (const char* kind : {"jpeg 4:2:0", "jpeg progressive", "jpeg grey", "png rgb", "png palette transparent"})
    cut_off(kind, picture(kind));
  const std::pair<const char*, std::size_t> others[] = {// and how many bytes behind the last pixel do not matter
                                                        {"jpeg restarts", 0},
                                                        {"gif", 1},
                                                        {"bmp", 2},
                                                        {"bmp 3 colours of 256", 2},
                                                        {"bmp 16, 5:6:5", 0},
                                                        {"bmp in runs of 8 bits", 4},
                                                        {"ppm P4", 0},
                                                        {"ppm P6 255", 0},
                                                        {"ppm P6 1000", 0},
                                                        {"webp", 0},
                                                        {"webp lossless", 0},
                                                        {"tiff", 0},
                                                        {"tiff predicted", 0},
                                                        {"tiff 1 bit", 4}};
  for (const auto& [kind, end] : others)
    if (is_read(kind)) cut_off(kind, golden_bytes(files(), std::string(kind) + "/file"), end);
}

TEST_CASE("image_file: a damaged PNG is refused, whichever bit it is; a damaged JPEG is the same each time") {
  const TempFolder folder;
  const auto read = [&](const Bytes& content, std::uint8_t in_memory) {
    std::vector<Bytes> before;  // what was in memory before does not matter
    for (std::size_t size = 64; size < 1 << 17; size += size / 4) before.push_back(Bytes(size, in_memory));
    before.clear();
    fs::remove(folder / "x");
    return read_image(write_file(folder / "x", content), 3).bytes;
  };
  const auto same_each_time = [&](const Bytes& content) { return read(content, 0xa5) == read(content, 0x11); };
  for (const char* kind : {"png palette transparent", "jpeg 4:2:0", "jpeg progressive"}) {
    const Bytes whole = picture(kind);
    for (std::size_t bit = 0; bit < 8 * whole.size(); bit += kind[0] == 'p' ? 1 : 3) {
      CAPTURE(bit);
      Bytes damaged = whole;
      damaged[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      const std::string text = complaint(damaged);
      if (kind[0] == 'p') CHECK(text != "");
      if (text == "") CHECK(same_each_time(damaged));
    }
  }

  for (const char* kind :
       {"gif", "gif, part of the screen", "bmp 3 colours of 256", "bmp in runs of 4 bits", "ppm P3 7", "webp",
        "webp lossless", "tiff turned", "tiff 1 bit", "tiff jpeg", "jpeg restarts"}) {
    if (!is_read(kind)) continue;
    const Bytes whole = golden_bytes(files(), std::string(kind) + "/file");
    for (std::size_t bit = 0; bit < 8 * whole.size(); bit += 7) {
      CAPTURE(kind);
      CAPTURE(bit);
      Bytes damaged = whole;
      damaged[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      if (complaint(damaged) == "") CHECK(same_each_time(damaged));
    }
  }

  // A progressive JPEG of which only the first pass is there: all but the means of blocks is missing.
  Bytes first_pass = picture("jpeg progressive");
  const Bytes scan = {0xff, 0xda}, tables = {0xff, 0xc4}, end = {0xff, 0xd9};
  const auto begin = std::search(first_pass.begin(), first_pass.end(), scan.begin(), scan.end());
  const auto next = std::search(begin, first_pass.end(), tables.begin(), tables.end());
  REQUIRE(next != first_pass.end());
  std::copy(end.begin(), end.end(), next);
  CHECK(same_each_time({first_pass.begin(), next + 2}));
  std::copy(end.begin(), end.end(), begin);
  CHECK(contains(complaint({first_pass.begin(), begin + 2}), "is damaged: it ends without pixels"));
}

TEST_CASE("image_file: a JPEG whose tables or channels contradict each other is refused") {
  const auto segment = [](Bytes& jpeg, std::uint8_t marker) {  // behind the marker and the length
    const Bytes begin = {0xff, marker};
    return std::search(jpeg.begin(), jpeg.end(), begin.begin(), begin.end()) + 4;
  };
  Bytes jpeg = picture("jpeg 4:2:0");
  *(segment(jpeg, 0xc4) + 16) = 255;  // codes of 16 bits, more than there are values
  CHECK(contains(complaint(jpeg), "cannot be decoded"));
  jpeg = picture("jpeg 4:4:4");
  *(segment(jpeg, 0xc0) + 10) = 0x01;  // no pixels of the second channel
  CHECK(contains(complaint(jpeg), "cannot be decoded"));
  jpeg = picture("jpeg 4:4:4");
  *segment(jpeg, 0xc0) = 12;  // bits
  CHECK(contains(complaint(jpeg), "cannot be decoded"));
  jpeg = picture("jpeg grey");
  *(segment(jpeg, 0xdb) - 1) = 1;
  CHECK(contains(complaint(jpeg), "has the length 1"));

  jpeg = picture("jpeg progressive");
  const Bytes start = {0xff, 0xda};
  const auto last = std::find_end(jpeg.begin(), jpeg.end(), start.begin(), start.end());
  const Bytes scan(last, jpeg.end() - 2);
  for (int i = 0; i < 80; ++i) jpeg.insert(jpeg.end() - 2, scan.begin(), scan.end());
  CHECK(complaint(jpeg) == "");
  for (int i = 0; i < 20; ++i) jpeg.insert(jpeg.end() - 2, scan.begin(), scan.end());
  CHECK(contains(complaint(jpeg), "has more than 100 scans"));
}

TEST_CASE("image_file: sizes are checked before memory is taken for them") {
  const auto peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;  // kB
  };
  const long before = peak();
  CHECK(contains(complaint(png_of_size(16385, 1)), "has 1 x 16385 pixels, expected at most 16384 on a side"));
  CHECK(contains(complaint(png_of_size(16384, 16384)),
                 "16384 x 16384 pixels, expected at most 16384 on a side and 67108864"));
  CHECK(contains(complaint(png_of_size(8192, 8192)), "promises 8192 x 8192 pixels, which its"));
  CHECK(complaint(png_of_size(0x7fffffff, 0x7fffffff)) != "");
  CHECK(complaint(png_of_size(0xffffffff, 0xffffffff)) != "");
  CHECK(complaint(png_of_size(0, 5)) != "");
  CHECK(complaint(png_of_size(37, 20)) != "");  // a line more than there are data

  Bytes jpeg = picture("jpeg 4:2:0");
  const Bytes frame = {0xff, 0xc0};
  const auto at = std::search(jpeg.begin(), jpeg.end(), frame.begin(), frame.end()) + 5;  // height, then width
  std::fill(at, at + 4, std::uint8_t{0xff});
  CHECK(contains(complaint(jpeg), "has 65535 x 65535 pixels"));
  at[0] = at[2] = 0x1f;
  CHECK(contains(complaint(jpeg), "promises 8191 x 8191 pixels"));
  CHECK(peak() - before < 100'000);
}

TEST_CASE("image_file: pictures are turned as their Exif says, as Pillow's exif_transpose turns them") {
  const TempFolder folder;
  const Golden golden("exif");
  std::istringstream kinds(golden.meta("kinds"));
  int turned = 0;
  for (std::string kind; std::getline(kinds, kind);) {
    CAPTURE(kind);
    if ((kind.starts_with("webp") || kind.starts_with("tiff")) && !is_read(kind)) continue;
    const fs::path path = write_file(folder / "x", golden_bytes(golden, kind + "/file"));
    CHECK_NOTHROW(check_picture(path));
    const Shape shape = golden.tensor(kind + "/turned").shape();  // (C, H, W)
    for (const Index channels : {1, 3}) {
      const Image image = read_image(path, channels);
      CHECK(Size2(image.height, image.width) == Size2(shape[1], shape[2]));
      if (channels == 3) CHECK(image.bytes == golden_bytes(golden, kind + "/turned"));
    }
    turned += shape[1] > shape[2];
    if (golden.has(kind + "/plain")) {
      const Image image = read_image(path, 3, false);
      CHECK(Size2(image.height, image.width) == Size2(3, 5));
      CHECK(image.bytes == golden_bytes(golden, kind + "/plain"));
    }
  }
  CHECK(turned > 30);
}

TEST_CASE("image_file: a JPEG without an end mark is read if all its pixels are there, as Pillow reads it") {
  const TempFolder folder;
  const auto with_tail = [&](const std::string& kind, std::size_t cut, const std::string& tail) {
    Bytes jpeg = golden_bytes(files(), kind + "/file");
    jpeg.resize(jpeg.size() - cut);
    jpeg.insert(jpeg.end(), tail.begin(), tail.end());
    return jpeg;
  };
  const std::string text = "a trailer of a camera";
  for (const char* kind : {"jpeg 4:4:4", "jpeg 4:2:0", "jpeg restarts"})
    for (const std::string& tail : {text, std::string(100, '\0'), text + "\xff\xe1\x7f"}) {
      const fs::path path = write_file(folder / "x", with_tail(kind, 2, tail));
      CHECK_NOTHROW(check_picture(path));
      CHECK(read_image(path, 3).bytes == golden_bytes(files(), std::string(kind) + "/rgb"));
    }
  for (const char* kind : {"jpeg 4:4:4", "jpeg progressive grey"}) {  // pixels are missing: found without being asked
    const fs::path path = write_file(folder / "x", with_tail(kind, 120, ""));
    CHECK(fails([&] { check_picture(path); }, {"is not whole: it ends after"}));
  }
  CHECK(contains(complaint(with_tail("jpeg progressive grey", 2, text)), "is not whole"));

  // Markers for temporary use: not before the pixels, where Pillow finds no picture, but behind them.
  Bytes jpeg = golden_bytes(files(), "jpeg 4:4:4/file");
  const Bytes marker = {0xff, 1};
  jpeg.insert(jpeg.end() - 2, marker.begin(), marker.end());
  CHECK(complaint(jpeg) == "");
  jpeg.insert(jpeg.begin() + 2, marker.begin(), marker.end());
  CHECK(contains(complaint(jpeg), "(0xff 0x01) before its pixels"));
  CHECK(contains(complaint({0xff, 0xd8, 0, 0xff, 0xd9}), "is neither a JPEG"));
}
