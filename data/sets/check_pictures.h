// Bad pictures are found before the work begins, not in the middle of it.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/sets/dataset.h"

namespace bobbin {

/// A picture file that cannot be used, and why: "\"cat/1.jpg\" is cut off".
struct BadPicture {
  std::filesystem::path file;
  std::string reason;
};

/// Those of the files that check_picture() refuses, in their order. On all threads; several ranks (tensor/comm.h), all
/// of which call it and what is below, share the work.
std::vector<BadPicture> find_bad_pictures(const std::vector<std::filesystem::path>& files);

/// "2 of 60 pictures cannot be read", what to do, if anything, and a line for each of the first 20; for a single one
/// only its reason, and what to do.
std::string describe(const std::vector<BadPicture>& bad, std::size_t of, const std::string& what_to_do);

/// Looks through the pictures of a data set in files; one in memory is good as it is. Throws Error, which lists those
/// that check_picture() refuses.
///
/// With `skip_bad` they are left out instead, and so are those that cannot be decoded, or fitted to the model's size:
/// each picture is decoded once for that, which takes as long as reading them for an epoch. How many were left out is
/// among the `notes`. All others keep their part and their order. Throws Error if nothing is left, or of a class
/// nothing to train on. `third`, if there is one, are images that belong to neither part.
void check_pictures(TrainAndTest& data, bool skip_bad, ImageDataset* third = nullptr);
void check_pictures(ImageDataset& data, bool skip_bad);

}  // namespace bobbin
