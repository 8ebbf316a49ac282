#pragma once
#include <string>
#include <vector>

#include "autograd/watch/names.h"

namespace bobbin {

/// The tape as a picture, with the memory that each operation keeps, in the language of Graphviz:
///
///     Tape tape;
///     const Var loss = cross_entropy(model(X), y);
///     write_file("tape.dot", to_dot(std::move(tape), named_parameters(model)));  // dot -Tsvg tape.dot > tape.svg
///
/// A box is an op, with the shape of its result and the memory that it keeps for backward; a small square is a
/// parameter. What several ops keep is counted at the first of them, where backward() lets go of it. What needs no
/// gradient, such as the images, is not on the tape. Frames are modules, known by the parameters' names: an op that
/// uses parameters stands where the layer does that has them, any other where its neighbours stand.
///
/// What each op keeps is measured by taking the tape apart: it is spent afterwards. Throws Error if it is already.
std::string to_dot(Tape&& tape, const std::vector<NamedParameter>& parameters);

}  // namespace bobbin
