// Which model is in a file, and under which names.
#include "nn/pretrained/unwrap.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/pretrained/facts.h"
#include "nn/pretrained/resnet_weights.h"
#include "nn/pretrained/swin_weights.h"
#include "nn/pretrained/vit_weights.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

// By their first layers the models are known: d2l's ViT, timm's, torchvision's, transformers' and its CLIP and SigLIP;
// d2l's ResNet, torchvision's and timm's, transformers'. timm's Swin Transformer begins as its ViT does; torchvision's
// first layer is named as many of its models have it.
constexpr std::string_view vit = "embeddings.patch_embeddings.projection.weight",
                           vision = "embeddings.patch_embedding.weight",
                           resnet = "encoder.stages.0.layers.0.layer.0.convolution.weight";
constexpr std::string_view first_layers[] = {"patch_embedding.conv.weight",
                                             "patch_embed.proj.weight",
                                             "conv_proj.weight",
                                             vit,
                                             vision,
                                             "net.b2.0.conv1.weight",
                                             "layer1.0.conv1.weight",
                                             resnet,
                                             "features.1.0.attn.relative_position_bias_table"};

// What wrappers write before each layer that they wrap, also in the middle of a name.
constexpr std::string_view wrappers[] = {"_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."};

std::string without_wrappers(std::string name) {
  for (const std::string_view wrapper : wrappers)
    for (std::size_t at = 0; (at = name.find(wrapper, at)) != std::string::npos;)
      if (at == 0 || name[at - 1] == '.')
        name.erase(at, wrapper.size());
      else
        at += wrapper.size();
  return name;
}

// Whether the name is `end`, or ends in it after a dot.
bool ends_in(std::string_view name, std::string_view end) {
  return name.ends_with(end) && (name.size() == end.size() || name[name.size() - end.size() - 1] == '.');
}

template <class Value>
std::map<std::string, Value> without_wrappers(const std::map<std::string, Value>& values) {
  std::map<std::string, Value> result;
  for (const auto& [name, value] : values)
    check(result.emplace(without_wrappers(name), value).second, "unwrap", "two tensors are called ",
          Quoted{without_wrappers(name)}, " without what wrappers write before it");
  return result;
}

// A model's place in a file: what stands before its names, and whether it is one of transformers' of this kind, which
// begins with "vit.", "vision_model." or "resnet." unless it has no head.
constexpr const char* bodies[] = {"vit.",   "deit.",         "dinov2.", "dinov2_with_registers.",
                                  "ijepa.", "vision_model.", "resnet."};

struct Place {
  std::string prefix, first;
  const char* body = nullptr;
  bool bare = false;
};

Place place_of(const std::string& name, std::string_view first) {
  Place place{name.substr(0, name.size() - first.size()), name};
  if (first != vit && first != vision && first != resnet) return place;
  place.body = first == vit ? "vit." : first == vision ? "vision_model." : "resnet.";
  place.bare = true;
  for (const std::string body : bodies)
    if (place.bare && ends_in(place.prefix, body)) {
      place.prefix.resize(place.prefix.size() - body.size());
      place.bare = false;
    }
  return place;
}

// transformers' names under one prefix: vit., vision_model. or resnet., for the others and for nothing.
std::string canonical(std::string name, const Place& place) {
  if (!place.body) return name;
  for (const std::string body : bodies)
    if (name.starts_with(body)) return place.body + name.substr(body.size());
  for (const char* head : {"classifier.", "cls_classifier.", "distillation_classifier."})
    if (name.starts_with(head)) return name;
  // transformers 5 forgets the prefix of ViTMSNForImageClassification's blocks.
  return place.bare || name.starts_with("encoder.layer.") ? place.body + name : name;
}

// What stands beside the part that sees pictures, and what it is called: of CLIP and SigLIP the part that reads and
// what compares the two, of a MAE the decoder.
const char* other_half(const std::string& name, const Place& place) {
  if (place.body && place.body == std::string("vision_model."))
    for (const char* part : {"text_model.", "text_projection.", "visual_projection.", "logit_scale", "logit_bias"})
      if (name.starts_with(part)) return "text model and projections";
  if (place.body && place.body == std::string("vit.") && name.starts_with("decoder.")) return "decoder";
  const bool timm = place.first.ends_with("patch_embed.proj.weight");
  return timm && name.starts_with("decoder_") ? "decoder" : nullptr;
}

// Models of transformers' whose patches are named like a ViT's.
const char* other_family(const std::string& prefix) {
  constexpr std::pair<std::string_view, const char*> families[] = {
      {"beit.", "BEiT"},
      {"data2vec_vision.", "Data2Vec"},
      {"dpt.", "DPT"},
      {"vivit.", "ViViT"},
      {"videomae.", "VideoMAE"},
      {"audio_spectrogram_transformer.", "the Audio Spectrogram Transformer"},
      {"flava.image_model.", "FLAVA"}};
  for (const auto& [name, what] : families)
    if (ends_in(prefix, name)) return what;
  return nullptr;
}

bool matters_not(const std::string& name) {
  constexpr std::string_view anywhere[] = {"mask_token", "pooler.",   "position_ids", "relative_position_index",
                                           "attn_mask",  "n_averaged"},
                             first[] = {"criterion.", "loss.", "loss_fn.", "loss_function."};
  return std::any_of(std::begin(anywhere), std::end(anywhere),
                     [&](std::string_view part) { return name.find(part) != std::string::npos; }) ||
         std::any_of(std::begin(first), std::end(first), [&](std::string_view part) { return name.starts_with(part); });
}

// What a wrapper does to pictures before the model sees them, and to logits after it.
bool changes_pictures(const std::string& name) {
  const std::string last = name.substr(name.rfind('.') + 1);
  return last == "mean" || last == "std" || last == "pixel_mean" || last == "pixel_std" || last == "temperature";
}

// "a, b, c and 4 more".
std::string some(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 3); ++i) text += (i ? ", " : "") + names[i];
  return names.size() > 3 ? text + " and " + std::to_string(names.size() - 3) + " more" : text;
}

std::string named(const std::string& prefix) { return prefix.empty() ? "one without a prefix" : prefix; }

void refuse(const std::vector<UnsupportedPart>& parts) {
  if (parts.empty()) return;
  std::vector<std::string> what, shown_by;
  for (const UnsupportedPart& part : parts) {
    what.push_back(part.what);
    shown_by.push_back(part.shown_by);
  }
  const bool several = parts.size() > 1 || what[0].ends_with('s');
  fail("unwrap", joined(what), several ? " are" : " is", " not supported (", joined(shown_by), ")");
}

}  // namespace

Unwrapped unwrap(ReadableTensors content) {
  const NamedTensors tensors = without_wrappers(content.tensors);
  const std::map<std::string, std::string> unread = without_wrappers(content.unread);
  std::set<std::string> names, whole;
  for (const auto& [name, tensor] : tensors) names.insert(name);
  for (const auto& [name, why] : unread) names.insert(name);
  for (const std::string& name : content.whole) whole.insert(without_wrappers(name));

  std::vector<Place> places;
  for (const std::string& name : names)
    for (const std::string_view first : first_layers)
      if (ends_in(name, first) && name.find("patch_embed.backbone.") == std::string::npos)  // a hybrid's ResNet
        places.push_back(place_of(name, first));
  if (places.empty()) {
    const std::string other = known_other_model(content);
    check(other.empty(), "unwrap", "these are weights of ", other,
          ", which is not supported: ViT, DeiT, DINOv2, CLIP's and SigLIP's vision towers, Swin, ResNet-18 and ",
          "ResNet-34 are");
    return {tensors};  // whoever reads them says what is missing
  }
  std::vector<std::string> prefixes;
  for (const Place& place : places) prefixes.push_back(named(place.prefix));
  check(places.size() == 1, "unwrap", "there are several models in it, ", joined(prefixes),
        ", and nothing says which one is meant: keep one of them");
  const Place place = places.front();

  Unwrapped result;
  NamedTensors model;  // under the names in the file, without the prefix
  std::vector<std::string> outside;
  std::set<std::string> halves;
  for (const std::string& name : names) {
    if (!name.starts_with(place.prefix)) {
      check(!changes_pictures(name), "unwrap", Quoted{name}, ", outside the model under ", place.prefix,
            ", would change what it sees or says, which is not supported");
      outside.push_back(name);
      const auto tensor = tensors.find(name);
      if (tensor != tensors.end() && tensor->second.rank() >= 2 && !matters_not(name)) result.layer = name;
      continue;
    }
    const std::string in_file = name.substr(place.prefix.size()), own = canonical(in_file, place);
    if (const char* half = other_half(in_file, place)) {
      halves.insert(half);
      continue;
    }
    const bool weight = is_vit_weight(own) || is_resnet_weight(own) || is_swin_weight(own);
    if (const auto why = unread.find(name); why != unread.end())
      check(!weight, "unwrap", "the model needs the tensor ", Quoted{name}, " ", weight ? why->second : "");
    else if (weight || (!whole.contains(name) && !matters_not(own))) {
      result.tensors.emplace(own, tensors.at(name));
      model.emplace(in_file, tensors.at(name));
    }
  }
  std::vector<UnsupportedPart> parts = unsupported_parts(model, place.first.substr(place.prefix.size()));
  if (const char* family = place.body ? other_family(place.prefix) : nullptr)
    parts.insert(parts.begin(), {family, place.prefix});
  refuse(parts);
  if (!place.prefix.empty()) result.note = "under " + place.prefix;
  if (!outside.empty()) result.note += ", without " + some(outside);
  for (const std::string& half : halves)
    result.note += (result.note.empty() ? "without its " : ", without its ") + half;
  return result;
}

}  // namespace bobbin
