#include "apps/common/attention_page.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/common/attention_script.h"
#include "data/drawing/canvas.h"
#include "data/drawing/page.h"
#include "data/files/json.h"
#include "data/images/codec.h"
#include "tensor/check.h"
#include "tensor/functions.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

using Json = nlohmann::ordered_json;

// The tokens before the patches, in the order of ViT::tokens().
std::vector<std::string> token_names(const ViT& model) {
  std::vector<std::string> names;
  if (model.cls_token.defined()) names.push_back("the class token");
  if (model.dist_token.defined()) names.push_back("the distillation token");
  for (Index i = 1; static_cast<Index>(names.size()) < model.prefix_tokens(); ++i)
    names.push_back("register " + std::to_string(i));
  return names;
}

// Rows of numbers from 0 to 1 as bytes, 255 for the largest of the row, and what that is.
struct RowBytes {
  std::string bytes;
  Json largest = Json::array();

  void add(const Tensor& tensor) {
    const std::vector<real> numbers = tensor.values();
    const Index width = tensor.shape()[-1];
    for (auto row = numbers.begin(); row != numbers.end(); row += width) {
      const real most = std::max(*std::max_element(row, row + width), real(1e-12));
      std::transform(row, row + width, std::back_inserter(bytes), [most](real share) {
        return static_cast<char>(static_cast<unsigned char>(std::lround(255 * std::max(share, real(0)) / most)));
      });
      largest.push_back(std::round(double{most} * 1e6) / 1e6);
    }
  }
  Json json() const { return {{"bytes", base64(bytes)}, {"largest", largest}}; }
};

std::string colours() {
  std::string text;
  for (int i = 0; i < 256; ++i) {
    const Color c = inferno(i / 255.0);
    text += format("%02x%02x%02x", c.red, c.green, c.blue);
  }
  return text;
}

}  // namespace

void check_fits_in_page(std::size_t pictures, const ViT& model) {
  const Index T = model.prefix_tokens() + model.patch_embedding.num_patches,
              maps = static_cast<Index>(model.blks.size()) * model.config.num_heads + 1,
              numbers = static_cast<Index>(pictures) * maps * T * T;
  check(numbers <= most_in_page, "attention", "the page would hold ", with_commas(numbers),
        " numbers, and has room for ", with_commas(most_in_page), ": give fewer pictures");
}

std::string attention_html(const std::vector<AttendedPicture>& pictures, const ViT& model) {
  check_fits_in_page(pictures.size(), model);
  const Size2 grid = model.config.grid();
  Json data{{"rows", grid.height},
            {"cols", grid.width},
            {"tokens", token_names(model)},
            {"blocks", model.blks.size()},
            {"heads", model.config.num_heads},
            {"colours", colours()},
            {"pictures", Json::array()}};
  for (const AttendedPicture& p : pictures) {
    RowBytes maps, rollout;
    for (const Tensor& map : p.maps) maps.add(map);
    rollout.add(p.rollout);
    data["pictures"].push_back({{"name", p.name},
                                {"answer", p.answer},
                                {"source", "data:image/png;base64," + base64(to_png(p.picture))},
                                {"ratio", static_cast<double>(p.picture.width) / static_cast<double>(p.picture.height)},
                                {"maps", maps.json()},
                                {"rollout", rollout.json()}});
  }
  return html({.title = "Where a Vision Transformer looks",
               .body = attention_body,
               .data = to_text(data),
               .script = attention_script,
               .head = attention_head});
}

}  // namespace bobbin
