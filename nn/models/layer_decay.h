#pragma once
#include <cmath>
#include <string>

#include "nn/models/vit.h"

namespace bobbin {

/// Layer-wise learning-rate decay, for finetuning (Bao et al., 2022: "BEiT"; timm's param_groups_layer_decay): the head
/// learns at the full rate, the last block at `decay` times that, the one before at decay² times, ... and tokens,
/// positions and patches slowest. This is the factor for the ViT's parameter of this name; the norm before the head
/// belongs to the last block, but for that of a mean.
inline real layer_decay_of(const std::string& name, const ViTConfig& config, real decay) {
  const auto begins = [&](const char* with) { return name.starts_with(with); };
  int layer = config.num_blks + 1;
  for (const char* first :
       {"cls_token", "dist_token", "reg_token", "pos_embedding", "stem.", "patch_embedding.", "norm_pre."})
    if (begins(first)) layer = 0;
  if (begins("blks.")) layer = std::stoi(name.substr(5)) + 1;
  if (begins("head.0.") && !(config.pool == Pool::avg && config.head_norm == HeadNorm::pooled)) layer = config.num_blks;
  return std::pow(decay, static_cast<real>(config.num_blks + 1 - layer));
}

}  // namespace bobbin
