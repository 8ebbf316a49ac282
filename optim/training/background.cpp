#include "optim/training/background.h"

#include <chrono>
#include <utility>

namespace bobbin {

void Background::begin(std::function<void()> work) {
  wait_for_all_but(much - 1);
  std::shared_future<void> before = begun_.empty() ? std::shared_future<void>() : begun_.back();
  begun_.push_back(std::async(std::launch::async, [before = std::move(before), work = std::move(work)]() mutable {
                     if (before.valid()) before.get();  // where that has failed, so does this
                     before = {};
                     work();
                   }).share());
}

void Background::wait_for_all_but(std::size_t count) {
  const auto is_done = [](const auto& work) {
    return work.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  };
  while (begun_.size() > count || (!begun_.empty() && is_done(begun_.front()))) {
    const std::shared_future<void> first = begun_.front();
    begun_.pop_front();
    try {
      first.get();
    } catch (...) {
      begun_.clear();  // of what it was waited for in vain
      throw;
    }
  }
}

}  // namespace bobbin
