#pragma once
#include <vector>

#include "autograd/watch/names.h"

namespace bobbin {

/// Scales all gradients by one factor so that the norm of them taken together is at most max_norm, as
/// torch.nn.utils.clip_grad_norm_; returns the norm before. Throws Error unless max_norm > 0; and for a gradient with
/// NaN or infinity, which it names, before any is scaled. (PyTorch would make all gradients NaN.)
double clip_grad_norm(const std::vector<NamedParameter>& parameters, double max_norm);

}  // namespace bobbin
