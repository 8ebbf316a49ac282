#pragma once
#include <filesystem>
#include <string>

namespace bobbin {

/// What a file is that was given for one of weights and is not a safetensors file, by the bytes that it begins with, and
/// what to do with it: "is a PNG picture, expected weights in a safetensors file", "is empty". Nothing if it is not
/// known. Little of it is read. A folder is "a folder", with the names of the safetensors files in it.
std::string what_it_is(const std::filesystem::path& path);

}  // namespace bobbin
