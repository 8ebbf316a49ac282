#include "data/sets/split.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace bobbin;

TEST_CASE("split_name: the words of Hugging Face's imagefolder, in any case, with what stands around them") {
  const struct {
    Split split;
    std::vector<std::string> only, among_others;
  } names[] = {
      {Split::train,
       {"train", "Train", "TRAIN", "training", "Training", "train_set", "training_set", "Training Set", "train-images",
        "TrainSet", "trainset", "trainingset", "train2", "01.train", "train_data", "TrainingImages", "traindata"},
       {"seg_train", "asl_alphabet_train", "my-train", "bullet train", "train_cats", "fruitsTraining"}},
      {Split::val,
       {"val", "Val", "valid", "Valid", "validation", "Validation", "dev", "val_set", "valset", "devset",
        "validation-data"},
       {"seg_val", "split.dev.large", "Imagenet_VALIDATION"}},
      {Split::test,
       {"test", "Test", "TEST", "testing", "Testing", "eval", "evaluation", "test_set", "testset", "Test_Images"},
       {"seg_test", "antigen test", "asl-test", "evaluation_2d"}},
  };
  for (const auto& [split, only, among_others] : names) {
    for (const std::string& name : only) CHECK_MESSAGE((split_name(name) == SplitName{split, true}), name);
    for (const std::string& name : among_others) CHECK_MESSAGE((split_name(name) == SplitName{split, false}), name);
  }
  for (const char* name : {"",         "trains",   "trainer",   "strain",           "testify", "contest",  "valley",
                           "device",   "trainval", "train_val", "train-test-split", "invalid", "set",      "data",
                           "evaluate", "restrain", "Trainéd",   "seg_pred",         "trait",   "datatrain"})
    CHECK_MESSAGE((split_name(name) == SplitName{}), name);
}
