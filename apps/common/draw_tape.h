#pragma once
#include <filesystem>
#include <string>

#include "nn/models/any_model.h"

/// The tape of a training step as a picture in a file.
namespace bobbin {

/// Writes the picture, as to_dot() describes it, to FILE.svg; or to FILE.dot the description itself. Throws Error if
/// the file cannot be written, and if there is no Graphviz: then the description is in FILE.dot.
void write_picture(const std::string& dot, std::filesystem::path file);

/// Draws one training step of the model on so many images. The images themselves do not matter.
void draw_step(AnyModel& model, Index batch_size, const std::filesystem::path& file);

}  // namespace bobbin
