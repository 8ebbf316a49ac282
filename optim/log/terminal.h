#pragma once
#include <string>

/// What is known of the terminal that a file descriptor leads to, if it does. None of what is printed has colours, so
/// there is nothing for $NO_COLOR to say.
namespace bobbin {

/// Whether a line there can be written anew, as a progress line is: not in a file or a pipe, and not where $TERM is
/// dumb.
bool can_rewrite_line(int fd);

/// How many columns there are: as many as the terminal has at this moment, or $COLUMNS, if that is fewer; 0 if neither
/// is known.
int columns(int fd);

/// The text in lines of no more than `columns`, broken at blanks; 0: as it is. What goes on from an indented line
/// stands at `indent`, or at half the columns, if that is less.
std::string wrap(const std::string& text, int columns, int indent);

}  // namespace bobbin
