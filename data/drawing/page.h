// A page of HTML in one file: it is opened without a server, and loads nothing from elsewhere.
#pragma once
#include <string>
#include <string_view>

#include "data/images/image.h"

namespace bobbin {

/// The parts of a page. What comes from outside goes through xml_text() first; `title` and `data` are made safe here.
struct Page {
  std::string title;
  std::string body;      ///< HTML within `<main>`, below the title
  std::string data{};    ///< JSON, for the script
  std::string script{};  ///< finds the JSON, parsed, as `data`
  std::string head{};    ///< HTML in `<head>`
};

/// The text of the page. It is legible in light and dark, on a telephone and on paper, and forbids the browser to load
/// anything.
std::string html(const Page& page);

/// `<img>`, with the picture in it. `text` is for those who do not see it; `css` may be "".
std::string html_picture(const Image& picture, const std::string& text, const std::string& css = "");

/// Bytes as base64 (RFC 4648).
std::string base64(std::string_view bytes);

}  // namespace bobbin
