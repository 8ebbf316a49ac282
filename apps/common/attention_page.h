#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "data/images/image.h"
#include "nn/models/vit.h"

/// A page in which one points at a patch and sees where each head of each block looks.
namespace bobbin {

/// A picture, and what attention_maps() and attention_rollout() say of it.
struct AttendedPicture {
  std::string name, answer;
  Image picture;
  std::vector<Tensor> maps;  ///< (1, heads, T, T) of each block
  Tensor rollout;            ///< (1, T, T)
};

/// The most numbers that a page holds, a byte each.
inline constexpr Index most_in_page = 24 << 20;

/// Throws Error if there are more numbers than that: of each picture a map for each head of each block, and the
/// rollout.
void check_fits_in_page(std::size_t pictures, const ViT& model);

/// The page. Of a number it keeps 8 bits, as its share of the largest in its row. Throws Error as check_fits_in_page().
std::string attention_html(const std::vector<AttendedPicture>& pictures, const ViT& model);

}  // namespace bobbin
