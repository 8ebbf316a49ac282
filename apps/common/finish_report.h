#pragma once
#include "apps/common/judge.h"
#include "data/sets/dataset.h"
#include "nn/models/any_model.h"
#include "optim/training/run_folder.h"

/// What report.html says when a run has ended.
namespace bobbin {

/// HTML: precision, recall and F1 of each class, the confusion matrix, and the worst mistakes, with their pictures.
/// `title` is the heading.
std::string judgement_html(const Judgement& judgement, const ImageDataset& data, const std::string& title);

/// Writes the report of a run that has ended anew, with what the model makes of these images and what it learned. Where
/// that cannot be it says so on stderr, and throws nothing. Several ranks, all of which call it, share the images, and
/// rank 0 writes; an error of one while others wait for it is thrown, as it ends them all.
void finish_report(AnyModel& model, const ImageDataset& data, Index batch_size, const RunFolder& folder);

}  // namespace bobbin
