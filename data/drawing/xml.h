// Text from outside within XML and HTML.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace bobbin {

/// The letters of a text in UTF-8, each as XML writes it between tags; a question mark for what is no letter.
std::vector<std::string> xml_letters(std::string_view text);

/// The text as it may stand in a page or a picture, between tags and, in double quotes, as an attribute's value.
std::string xml_text(std::string_view text);

}  // namespace bobbin
