#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace bobbin {

/// What a model makes of pictures before its head sees it: a row for each picture.
struct Features {
  std::vector<std::string> pictures;  ///< their files
  Tensor rows;                        ///< (N, num_features)
};

/// Writes them as a table, image,f0,f1,..., if the file ends in .csv, which numpy and pandas read; else as safetensors:
/// the tensor "features", and in the metadata "pictures", a list as JSON. Throws Error as write_file() does.
void write_features(const std::filesystem::path& file, const Features& features);

/// For whoever will write the features of these pictures: throws Error now if the file could not hold their names.
void check_room_for_names(const std::filesystem::path& file, const std::vector<std::filesystem::path>& pictures);

/// Reads what write_features() writes. Throws Error, which names the file and the line, for what it does not.
Features read_features(const std::filesystem::path& file);

/// The class of a picture in a folder of classes: the name of the folder that it is in, "cat" of data/train/cat/7.png.
std::string class_of(const std::string& picture);

/// A text as a field of a table, quoted if it must be, as RFC 4180 says.
std::string csv_field(const std::string& text);

}  // namespace bobbin
