#include "apps/bounded_queue.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace furrow::apps {
namespace {

TEST(BoundedQueue, KeepsOrderAndHandsOutWhatIsLeftAfterClosing) {
  BoundedQueue<int> queue(3);
  std::thread producer([&] {
    for (int i = 0; i < 100; ++i) queue.push(i);
    queue.close();
  });
  std::vector<int> got;
  while (std::optional<int> item = queue.pop()) got.push_back(*item);
  producer.join();
  ASSERT_EQ(got.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(got[static_cast<size_t>(i)], i);
}

TEST(BoundedQueue, ClosingFreesAProducerThatWaitsForRoom) {
  BoundedQueue<int> queue(1);
  EXPECT_TRUE(queue.push(1));
  bool accepted = true;
  std::thread producer([&] { accepted = queue.push(2); });
  queue.close();
  producer.join();
  EXPECT_FALSE(accepted);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

}  // namespace
}  // namespace furrow::apps
