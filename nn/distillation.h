// Learning from another model's logits beside the labels.
#pragma once
#include <utility>

#include "autograd/ops.h"
#include "data/files/fields.h"
#include "tensor/check.h"

namespace bobbin {

/// Of the teacher: nothing is learned; its probabilities are; or the class alone that it thinks the likeliest.
enum class DistillationType { none, soft, hard };
/// What the soft loss is divided by: images times classes, as facebookresearch/deit does; or images, as timm does.
enum class DistillationScale { deit, timm };

/// Knowledge distillation, as DeiT has it (Touvron et al., 2021: "Training data-efficient image transformers &
/// distillation through attention"). With logits z of the student and t of the teacher, (N, C) each, the loss is
///
///     (1 - alpha)·(that of the labels) + alpha·distance(z, t)
///     hard: distance = cross entropy of z with argmax t, never smoothed
///     soft: distance = tau²/M · Σ p·(log p - log softmax(z/tau)),   p = softmax(t/tau)   (Hinton et al., 2015)
///
/// where M is N·C or N: see DistillationScale.
struct Distillation {
  DistillationType type = DistillationType::none;
  real alpha = real(0.5), tau = 1;
  DistillationScale scale = DistillationScale::deit;

  void fields(Fields& f) {
    f("distillation_type", type,
      {.help = "what is learned from the --teacher: soft, its probabilities; hard, the class it thinks the likeliest",
       .choices = {"none", "soft", "hard"},
       .fixed = true});
    f("distillation_alpha", alpha,
      {.help = "share of the loss that the teacher decides; the labels decide the rest",
       .low = 0,
       .high = 1,
       .fixed = true});
    f("distillation_tau", tau,
      {.help = "of soft: temperature that logits are divided by", .low = 1e-3, .high = 1e3, .fixed = true});
    f("distillation_scale", scale,
      {.help = "of soft: what the loss is divided by; deit: images times classes, timm: images",
       .choices = {"deit", "timm"},
       .fixed = true});
  }

  /// The distance of logits from a teacher's, (N, C) each: a scalar. Throws Error for DistillationType::none.
  Var operator()(const Var& logits, const Tensor& teacher) const {
    check(type != DistillationType::none, "Distillation", "of type none learns nothing from a teacher");
    check(logits.shape() == teacher.shape() && logits.rank() == 2, "Distillation", "the logits ", logits.shape(),
          " and the teacher's ", teacher.shape(), " should be of one shape (N, C)");
    if (type == DistillationType::hard) return cross_entropy(logits, argmax(teacher, 1));
    const Tensor log_p = log_softmax(teacher / tau), p = exp(log_p);
    const Index M = scale == DistillationScale::deit ? logits.size() : logits.shape()[0];
    return sum(Var(p) * (Var(log_p) - log_softmax(logits / tau))) * (tau * tau / static_cast<real>(M));
  }

  /// The loss: of_labels is what the labels say of the head that learns them.
  Var operator()(const Var& of_labels, const Var& logits, const Tensor& teacher) const {
    return of_labels * (1 - alpha) + (*this)(logits, teacher) * alpha;
  }
};

/// The logits of two heads of a model, (B, classes) each: of the one that learns the labels, and of the one that learns
/// from a teacher. Of a model that has one, and so no both_heads(), the same twice.
template <class Model>
std::pair<Var, Var> both_heads(Model& model, const Var& images) {
  if constexpr (requires { model.both_heads(images); })
    return model.both_heads(images);
  else {
    const Var logits = model(images);
    return {logits, logits};
  }
}

}  // namespace bobbin
