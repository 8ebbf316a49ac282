#pragma once
#include <string>
#include <vector>

#include "data/files/safetensors.h"

namespace bobbin {

/// The weights of one model, out of a file of others.
struct Unwrapped {
  NamedTensors tensors;  ///< under the names that the library gives them, and none that does not matter
  std::string note{};    ///< "under model., without criterion.weight", or nothing
  std::string layer{};  ///< the name of a layer's weight outside the model, which may make something else of its logits
};

/// Finds the model in a file: by the name that its first layer has, whatever stands before it. DistributedDataParallel
/// writes module., torch.compile _orig_mod., FSDP _fsdp_wrapped_module., Lightning and programs of one's own model.,
/// backbone., net. or anything else. What is not under the same prefix is not the model's, and left out; `note` says
/// so. transformers' models begin with vit., deit., dinov2., vision_model. and the like when they have a head, and with
/// nothing when they have none: here all begin with vit., vision_model. or resnet.
///
/// What does not change the answer is left out, too: mask tokens, poolers, counters, masks and tables of whole numbers.
/// Throws Error where nothing is a first layer; for two models in one file, naming both prefixes; for a tensor of the
/// model that cannot be read; and for parts that would change the answer and are not supported, naming all of them:
/// "norms of queries and keys and a gated MLP (SwiGLU) are not supported (blocks.0.attn.q_norm.weight and
/// blocks.0.mlp.w12.weight)".
Unwrapped unwrap(ReadableTensors content);

/// A part of a model that is not supported, and what shows it: "norms of queries and keys",
/// "blocks.0.attn.q_norm.weight".
struct UnsupportedPart {
  std::string what, shown_by;
};
/// Those of a model whose first layer has the name `first`.
std::vector<UnsupportedPart> unsupported_parts(const NamedTensors& tensors, const std::string& first);

/// What a file is of whose tensors none is the first layer of a model that is known, such as "CLIP"; or nothing.
std::string known_other_model(const ReadableTensors& content);

}  // namespace bobbin
