#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace bobbin {

/// Reads JSON that came from outside; `what` says in messages what it is. JSON takes many times the memory of its text,
/// and most of what is done with it calls itself for every level.
/// Throws Error if the text is not JSON in UTF-8, has a number beyond double, is nested more than 32 deep, or has more
/// than 2,000,000 parts (values, keys, brackets), each of which takes up to a hundred bytes.
nlohmann::json parse_json(const std::string& text, const std::string& what);

}  // namespace bobbin
