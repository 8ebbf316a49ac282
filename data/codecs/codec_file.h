#pragma once
#include <cstdint>
#include <filesystem>
#include <span>

#include "tensor/check.h"

namespace bobbin {

/// The content of a picture's file, whose bytes are taken from the front, each only if it is there.
class CodecFile {
 public:
  using Bytes = std::span<const std::uint8_t>;

  CodecFile(Bytes bytes, const std::filesystem::path& path) : bytes_(bytes), rest_(bytes), path_(&path) {}

  const std::filesystem::path& path() const { return *path_; }
  Bytes all() const { return bytes_; }
  Bytes rest() const { return rest_; }
  std::size_t position() const { return bytes_.size() - rest_.size(); }

  /// The next `count` bytes. Throws Error if there are not so many.
  Bytes take(std::size_t count) {
    require(count <= rest_.size(), "is not whole: it ends after ", bytes_.size(), " bytes");
    const Bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  /// The same as a file of its own.
  CodecFile part(std::size_t count) { return CodecFile(take(count), path()); }
  std::uint8_t byte() { return take(1)[0]; }
  /// The next bytes as a number: the highest first, or the lowest first.
  std::size_t big_endian(std::size_t count) {
    std::size_t number = 0;
    for (const std::uint8_t byte : take(count)) number = number << 8 | byte;
    return number;
  }
  std::size_t little_endian(std::size_t count) {
    std::size_t number = 0, shift = 0;
    for (const std::uint8_t byte : take(count)) number |= std::size_t{byte} << shift, shift += 8;
    return number;
  }

  /// Throws Error, which names the file, unless `ok`.
  template <class... Parts>
  void require(bool ok, const Parts&... parts) const {
    check(ok, "read_image", *path_, " ", parts...);
  }
  /// Throws Error for what a library says of this file; that may have letters from the file in it.
  [[noreturn]] void cannot_be_decoded(const char* reason) const {
    if (!*reason) fail("read_image", *path_, " cannot be decoded: it is damaged");
    fail("read_image", *path_, " cannot be decoded: it is damaged or of a rare kind (", Quoted{reason}, ")");
  }

 private:
  Bytes bytes_, rest_;
  const std::filesystem::path* path_;
};

}  // namespace bobbin
