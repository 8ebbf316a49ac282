// JPEG, by libjpeg, which Pillow and torchvision use too. Of damaged pixels it makes what it can; where restart markers
// are out of order it finds its way back.
#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
// jpeglib.h wants the two above
#include <jpeglib.h>

#include "data/codecs/codecs.h"

namespace bobbin {
namespace {

// A picture of many passes takes as many times as long; libjpeg's own script for progressive ones has ten.
constexpr int most_scans = 100;

// A JPEG is a row of segments: 0xff, a marker, and the length of what follows, itself included. Between them stand the
// packed pixels, in which 0xff is followed by 0 or by a marker from 0xd0 to 0xd7. The marker 0xd9 is the end. The size
// is in the frame (0xc0 ... 0xcf, apart from three that are something else), and 0xda begins a scan.
Size2 check_jpeg(CodecFile file) {
  Size2 size(0, 0);
  file.take(2);
  for (int scans = 0;;) {
    const CodecFile::Bytes rest = file.rest();
    file.take(static_cast<std::size_t>(std::find(rest.begin(), rest.end(), 0xff) - rest.begin()) + 1);
    std::size_t marker = 0xff;
    while (marker == 0xff) marker = file.byte();
    if (marker == 0xd9) {
      file.require(scans > 0, "is damaged: it ends without pixels");
      return size;
    }
    if (marker <= 1 || (marker >= 0xd0 && marker <= 0xd8)) continue;  // these stand alone
    const std::size_t begin = file.position(), length = file.big_endian(2);
    if (scans > 0 && (length < 2 || length - 2 > file.rest().size())) continue;  // damaged pixels look like a marker
    file.require(length >= 2, "is damaged: its segment at byte ", begin, " has the length ", length);
    CodecFile segment = file;
    file.take(length - 2);
    if (marker == 0xda) file.require(++scans <= most_scans, "has more than ", most_scans, " scans, which is not read");
    if (marker < 0xc0 || marker > 0xcf || marker == 0xc4 || marker == 0xc8 || marker == 0xcc || size.height > 0)
      continue;
    file.require(length >= 8, "is damaged: its segment at byte ", begin, " has the length ", length);
    segment.byte();  // bits a channel
    size.height = static_cast<Index>(segment.big_endian(2));
    size.width = static_cast<Index>(segment.big_endian(2));
  }
}

// libjpeg reports an error by a function that must not return. Ours jumps back, over libjpeg's functions, to where it
// was called: to functions in which there is nothing to destroy.
struct Decoder {
  jpeg_decompress_struct info{};
  jpeg_error_mgr error{};
  jpeg_source_mgr source{};
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = "";

  explicit Decoder(CodecFile::Bytes file) {
    info.err = jpeg_std_error(&error);
    info.client_data = this;
    error.error_exit = [](j_common_ptr common) {
      auto* self = static_cast<Decoder*>(common->client_data);
      common->err->format_message(common, self->message);
      std::longjmp(self->jump, 1);
    };
    error.output_message = [](j_common_ptr) {};  // warnings
    source.next_input_byte = file.data();
    source.bytes_in_buffer = file.size();
    source.init_source = source.term_source = [](j_decompress_ptr) {};
    // There is no more than the file: libjpeg then stops, as if it waited.
    source.fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };
    source.skip_input_data = [](j_decompress_ptr info, long count) {
      if (count <= 0) return;
      const std::size_t skipped = std::min(static_cast<std::size_t>(count), info->src->bytes_in_buffer);
      info->src->next_input_byte += skipped;
      info->src->bytes_in_buffer -= skipped;
    };
    source.resync_to_restart = jpeg_resync_to_restart;
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
  Decoder(const Decoder&) = delete;

  // False: it fails with `message`, or, where that is empty, the file ends too soon.
  bool read_header() {
    if (setjmp(jump)) return false;
    void* const self = info.client_data;
    jpeg_create_decompress(&info);  // clears all but the error manager
    info.client_data = self;
    info.src = &source;
    return jpeg_read_header(&info, TRUE) == JPEG_HEADER_OK;
  }
  bool start(J_COLOR_SPACE colors) {
    if (setjmp(jump)) return false;
    info.out_color_space = colors;
    return jpeg_start_decompress(&info);
  }
  bool read_line(std::uint8_t* line) {
    if (setjmp(jump)) return false;
    return jpeg_read_scanlines(&info, &line, 1) == 1;
  }
  bool finish() {
    if (setjmp(jump)) return false;
    jpeg_finish_decompress(&info);  // what is behind the pixels may have an error; whether it is whole is no matter
    return true;
  }
};

Pixels decode_jpeg(CodecFile file, Size2 size) {
  Decoder decoder(file.all());
  const auto check_done = [&](bool done) {
    if (done) return;
    if (*decoder.message) file.cannot_be_decoded(decoder.message);
    file.require(false, "is not whole: it ends after ", file.all().size(), " bytes");
  };
  check_done(decoder.read_header());
  const int channels = decoder.info.num_components;
  file.require(channels == 1 || channels == 3 || channels == 4, "is a JPEG of ", channels,
               " channels, expected 1, 3 or 4");
  file.require(Size2(decoder.info.image_height, decoder.info.image_width) == size, "is damaged: it has two sizes");
  check_done(decoder.start(channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK));

  Pixels pixels(size, channels == 1 ? 1 : 3);
  std::vector<std::uint8_t> cmyk(channels == 4 ? static_cast<std::size_t>(4 * size.width) : 0);
  for (Index y = 0; y < size.height; ++y) {
    check_done(decoder.read_line(channels == 4 ? cmyk.data() : pixels.line(y)));
    if (channels < 4) continue;
    for (std::uint8_t& ink : cmyk) ink = static_cast<std::uint8_t>(255 - ink);  // as Adobe writes them
    for (Index x = 0; x < size.width; ++x) cmyk_to_rgb(&cmyk[static_cast<std::size_t>(4 * x)], pixels.line(y) + 3 * x);
  }
  check_done(decoder.finish());
  return pixels;
}

}  // namespace

const Codec jpeg_codec{
    "JPEG",     [](CodecFile::Bytes file) { return file.size() >= 2 && file[0] == 0xff && file[1] == 0xd8; },
    check_jpeg, decode_jpeg,
    false,
};

}  // namespace bobbin
