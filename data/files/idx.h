// MNIST's file format, plain or gzip.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tensor/shape.h"

namespace bobbin {

/// The content of an IDX file, the format of MNIST and Fashion-MNIST: bytes in a shape.
struct IdxArray {
  Shape shape;                      ///< (N, H, W) for grey images, (N) for labels
  std::vector<std::uint8_t> bytes;  ///< shape.size() of them, the last axis innermost
  std::uint32_t crc = 0;            ///< the CRC-32 of the uncompressed file, header and all, as `gzip -lv` prints it
  std::filesystem::path path;       ///< where it was read, for error messages
};

/// Reads an IDX file of unsigned bytes with one to four axes. It may be compressed with gzip, which
/// its first bytes tell, not its name. Takes no more memory than the file has content, whatever its
/// header promises.
/// Throws Error if the file is missing or no file (a pipe, a folder), damaged, of another type, shorter or longer than its header says.
IdxArray read_idx(const std::filesystem::path& path);

/// The number as people write file signatures and checksums: 0x00000803.
std::string hex(std::uint32_t number);

}  // namespace bobbin
