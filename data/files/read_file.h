#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace bobbin {

/// The content of a file. Throws Error, which begins with [op] and names the file, if it is no file, is empty, has more
/// than `most` bytes, or cannot be read.
std::vector<std::uint8_t> read_file(const char* op, const std::filesystem::path& path, std::uintmax_t most);

}  // namespace bobbin
