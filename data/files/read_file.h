#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace bobbin {

/// Throws Error, which begins with [op] and says what is there instead, unless the path leads to a regular file. It is
/// not opened: to open a pipe may wait for ever, and so may reading a device.
void check_is_file(const char* op, const std::filesystem::path& path);

/// The content of a file. Throws Error, which begins with [op] and names the file, if it is no file, is empty, has more
/// than `most` bytes, or cannot be read.
std::vector<std::uint8_t> read_file(const char* op, const std::filesystem::path& path, std::uintmax_t most);

}  // namespace bobbin
