#include "data/files/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

#include "data/files/read_file.h"
#include "tensor/check.h"
#include "tensor/text.h"

// An IDX file begins with the bytes 0, 0, type, rank, and the size of each axis as four bytes, the
// highest first. Then come the values. Type 8 is unsigned bytes; the others, up to 14, are not used
// for images.

namespace bobbin {
namespace {

// A file read from front to back. zlib sees by the first two bytes whether it is compressed.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path) {
    check_is_file("read_idx", path);
    errno = 0;
    file_.reset(gzopen(path.c_str(), "rb"));
    check(file_ != nullptr, "read_idx", path, " cannot be opened: ", std::generic_category().message(errno));
    gzbuffer(file_.get(), 1 << 17);
  }

  // Reads up to `count` bytes and returns how many there were: fewer only at the end of the file.
  std::size_t read(std::uint8_t* to, std::size_t count) {
    errno = 0;
    const int got = gzread(file_.get(), to, static_cast<unsigned>(count));
    int status = Z_OK;
    gzerror(file_.get(), &status);
    check(status != Z_BUF_ERROR, "read_idx", path_, " is not whole: its compressed data break off");
    check(status != Z_DATA_ERROR, "read_idx", path_, " is damaged: its compressed data are not valid gzip");
    check(status == Z_OK && got >= 0, "read_idx", path_, " cannot be read: ", std::generic_category().message(errno));
    crc_ = static_cast<std::uint32_t>(crc32_z(crc_, to, static_cast<std::size_t>(got)));
    return static_cast<std::size_t>(got);
  }

  std::uint32_t crc() const { return crc_; }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  const std::filesystem::path& path_;
  std::unique_ptr<gzFile_s, Close> file_;
  std::uint32_t crc_ = 0;
};

// The four bytes as a number, the highest first.
std::uint32_t big_endian(const std::uint8_t* b) {
  return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
}

Shape read_header(Reader& file, const std::filesystem::path& path) {
  std::array<std::uint8_t, 4> word{};
  const std::size_t got = file.read(word.data(), 4);
  check(got != 0, "read_idx", path, " is empty, expected an IDX file");
  check(got == 4, "read_idx", path, " ends in its header, after ", got, " bytes");
  const int type = word[2], rank = word[3];
  check(word[0] == 0 && word[1] == 0, "read_idx", path, " is not an IDX file: it begins with ",
        hex(big_endian(word.data())), ", expected 0x00000801 for labels or 0x00000803 for grey images");
  check(type == 8, "read_idx", path, " has values of type ", type, ", expected type 8, unsigned bytes");
  check(rank >= 1 && rank <= 4, "read_idx", path, " has ", rank, " axes, expected 1 to 4");

  std::array<Index, 4> sizes{};
  Index product = 1;
  for (int axis = 0; axis < rank; ++axis) {
    const std::size_t more = file.read(word.data(), 4);
    check(more == 4, "read_idx", path, " ends in its header, after ", 4 + 4 * axis + static_cast<int>(more), " of ",
          4 + 4 * rank, " bytes");
    const Index size = big_endian(word.data());
    check(size >= 1, "read_idx", path, " has size 0 along axis ", axis, ", expected 1 or more");
    check(!__builtin_mul_overflow(product, size, &product), "read_idx", path,
          " has sizes that multiply to more than 2^63 bytes, at axis ", axis, " of size ", size);
    sizes[static_cast<std::size_t>(axis)] = size;
  }
  return Shape(sizes.data(), rank);
}

}  // namespace

std::string hex(std::uint32_t number) { return format("0x%08x", static_cast<unsigned>(number)); }

IdxArray read_idx(const std::filesystem::path& path) {
  Reader file(path);
  IdxArray result;
  result.path = path;
  result.shape = read_header(file, path);
  const auto size = static_cast<std::size_t>(result.shape.size());
  // The header may lie, so memory is taken only for what the file itself proves, and then as the content arrives.
  constexpr std::size_t step = 1 << 20;
  std::vector<std::uint8_t>& bytes = result.bytes;
  std::error_code gone;
  if (const std::uintmax_t packed = std::filesystem::file_size(path, gone); !gone)
    bytes.reserve(std::min<std::uintmax_t>(size, packed));
  while (bytes.size() < size) {
    const std::size_t had = bytes.size(), wanted = std::min(step, size - had);
    bytes.resize(had + wanted);
    const std::size_t got = file.read(bytes.data() + had, wanted);
    check(got == wanted, "read_idx", path, " ends after ", had + got, " of the ", size, " values that its sizes ",
          result.shape, " promise");
  }
  std::uint8_t extra = 0;
  check(file.read(&extra, 1) == 0, "read_idx", path, " goes on after the ", size, " values that its sizes ",
        result.shape, " promise");
  result.crc = file.crc();
  return result;
}

}  // namespace bobbin
