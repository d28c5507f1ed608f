#include "data/loader.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <numeric>
#include <system_error>
#include <thread>
#include <utility>

#include "data/loader_fill.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace furrow::data {
namespace {

using Clock = std::chrono::steady_clock;

// A batch that is being made.
struct Pending {
  Batch batch;
  size_t claimed = 0, done = 0;  // items that a thread has taken, and has finished
  std::vector<Shape> shapes;     // of the samples, each written by the thread that loads it
  std::once_flag allocated;      // by whoever has loaded a sample first
  size_t failed_at = SIZE_MAX;   // the lowest place that failed
  std::exception_ptr failure;
  bool complete() const { return done == batch.items.size(); }
};

std::vector<int64_t> identity(int64_t n) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  return order;
}

// The tensors have the size of the sample that came first, which may be any; the report goes by places.
void check_shapes(const Pending& pending, const Dataset& dataset) {
  const auto& shapes = pending.shapes;
  const auto other = std::ranges::find_if(shapes, [&](const Shape& s) { return s != shapes.front(); });
  if (other == shapes.end()) return;
  const auto name = [&](size_t place) {
    return printable(dataset.id(pending.batch.items[place])) + " is " + to_string(shapes[place]);
  };
  throw Error(ErrorCode::malformed,
              "samples of one batch differ: " + name(0) + ", " + name(static_cast<size_t>(other - shapes.begin())))
      .hint("resize them to one size, or take batches of 1");
}

}  // namespace

std::vector<int64_t> epoch_order(int64_t n, uint64_t seed, uint32_t epoch) {
  require(n >= 0 && n <= UINT32_MAX, "epoch_order: n");
  std::vector<int64_t> order = identity(n);
  const Philox philox(seed);
  for (int64_t i = 0; i + 1 < n; ++i) {
    const uint32_t u = philox({static_cast<uint32_t>(i), 0, UINT32_MAX, epoch})[0];
    const auto step = static_cast<int64_t>(uint64_t{u} * static_cast<uint64_t>(n - i) >> 32);
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(i + step)]);
  }
  return order;
}

struct Loader::State {
  const Dataset& dataset;
  const std::vector<int64_t> positions;
  const LoaderOptions options;
  const Augment augment;
  const BatchFiller filler;
  const int64_t batches;  // per epoch

  // Of the consumer alone.
  LoaderPosition position;
  double waited = 0;
  int64_t given = 0;

  std::mutex mutex;  // guards what follows
  std::condition_variable work, ready;
  std::deque<std::shared_ptr<Pending>> queue;  // the batches from `position` on
  LoaderPosition planned;                      // the batch behind the queue's last
  std::vector<int64_t> order;                  // of the epoch `planned.epoch`
  bool stop = false;
  std::vector<std::thread> threads;

  State(const Dataset& d, std::vector<int64_t> p, const LoaderOptions& o, Augment a, LoaderPosition start)
      : dataset(d),
        positions(std::move(p)),
        options(o),
        augment(std::move(a)),
        filler(o, d.options().rule.kind == MaskKind::classes),
        batches(batches_of(positions.size(), o)),
        position(start),
        planned(start) {}

  static int64_t batches_of(size_t items, const LoaderOptions& o) {
    require(o.batch >= 1 && o.prefetch >= 1 && o.threads >= 0, "Loader: options");
    require(o.part >= 0 && o.part < o.parts, "Loader: part");
    const auto n = static_cast<int64_t>(items), batch = o.batch * o.parts;
    return o.drop_last ? n / batch : (n + batch - 1) / batch;
  }

  // Puts the next batch of items behind the others. Under the mutex.
  void plan() {
    const auto n = static_cast<int64_t>(positions.size());
    if (order.empty()) order = options.shuffle ? epoch_order(n, options.seed, planned.epoch) : identity(n);
    auto pending = std::make_shared<Pending>();
    pending->batch.epoch = planned.epoch;
    pending->batch.index = planned.batch;
    const int64_t whole = options.batch * options.parts, begin = planned.batch * whole,
                  count = std::min(whole, n - begin);
    const int64_t first = begin + count * options.part / options.parts;
    int64_t last = begin + count * (options.part + 1) / options.parts;
    pending->batch.absent = first == last;
    if (pending->batch.absent) last = first + 1;
    for (int64_t i = first; i < last; ++i)
      pending->batch.items.push_back(positions[static_cast<size_t>(order[static_cast<size_t>(i)])]);
    pending->shapes.resize(pending->batch.items.size());
    queue.push_back(std::move(pending));
    if (++planned.batch == batches) {
      planned = {planned.epoch + 1, 0};
      order.clear();
    }
  }

  // A batch with an item that nobody has taken; null where enough is planned. Under the mutex.
  std::shared_ptr<Pending> claimable() {
    for (const auto& pending : queue)
      if (pending->claimed < pending->batch.items.size()) return pending;
    if (static_cast<int64_t>(queue.size()) >= options.prefetch) return nullptr;
    plan();
    return queue.back();
  }

  // Loads the item at `place` of the batch. Everything random in it comes from the item's own key.
  void make(Pending& pending, size_t place) {
    Batch& batch = pending.batch;
    const int64_t item = batch.items[place];
    Sample sample = dataset.load(item);
    if (augment) augment(sample, DrawKey{options.seed, batch.epoch, static_cast<uint32_t>(item)});
    const Shape shape = pending.shapes[place] = BatchFiller::shape_of(sample);
    std::call_once(pending.allocated, [&] { filler.allocate(shape, static_cast<int64_t>(batch.items.size()), batch); });
    const Shape& common = batch.image.shape();
    if (shape.h == common.h && shape.w == common.w && shape.c == common.c)
      filler.fill(sample, static_cast<int64_t>(place), batch);
  }

  // Takes one item and makes it; `lock` is held before and after.
  void make_one(const std::shared_ptr<Pending>& pending, std::unique_lock<std::mutex>& lock) {
    const size_t place = pending->claimed++;
    lock.unlock();
    std::exception_ptr failure;
    try {
      make(*pending, place);
    } catch (...) { failure = std::current_exception(); }
    lock.lock();
    if (failure && place < pending->failed_at) {
      pending->failed_at = place;
      pending->failure = std::move(failure);
    }
    ++pending->done;
  }

  void work_until_stopped() {
    std::unique_lock lock(mutex);
    while (!stop) {
      if (const auto pending = claimable()) {
        make_one(pending, lock);
        if (pending->complete()) ready.notify_all();
      } else {
        work.wait(lock);
      }
    }
  }

  void start() {
    try {
      for (int t = 0; t < options.threads; ++t) threads.emplace_back([this] { work_until_stopped(); });
    } catch (const std::system_error& error) {
      join();
      throw Error(ErrorCode::io, std::string("cannot start a loader thread: ") + error.what());
    }
  }

  void join() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    work.notify_all();
    for (std::thread& thread : threads) thread.join();
    threads.clear();
  }

  // Removes the first batch of the queue once it is complete, and gives it.
  std::shared_ptr<Pending> take() {
    const auto start = Clock::now();
    std::unique_lock lock(mutex);
    if (options.threads == 0) {
      if (queue.empty()) plan();
      while (queue.front()->claimed < queue.front()->batch.items.size()) make_one(queue.front(), lock);
    }
    ready.wait(lock, [&] { return !queue.empty() && queue.front()->complete(); });
    auto pending = queue.front();
    waited += std::chrono::duration<double>(Clock::now() - start).count();
    if (pending->failure) std::rethrow_exception(pending->failure);  // it stays in the queue, and fails again
    check_shapes(*pending, dataset);
    queue.pop_front();
    lock.unlock();
    work.notify_all();
    return pending;
  }
};

Loader::Loader(const Dataset& dataset, std::vector<int64_t> positions, const LoaderOptions& options, Augment augment,
               LoaderPosition start)
    : state_(std::make_unique<State>(dataset, std::move(positions), options, std::move(augment), start)) {
  if (state_->batches == 0) {
    throw Error(ErrorCode::configuration, "no batch: " + std::to_string(state_->positions.size()) +
                                              " examples for batches of " + std::to_string(options.batch));
  }
  require(start.batch >= 0 && start.batch <= state_->batches, "Loader: start");
  for (const int64_t position : state_->positions)
    require(position >= 0 && position < dataset.size(), "Loader: positions");
  if (start.batch == state_->batches) state_->planned = {start.epoch + 1, 0};  // only the end of the epoch is left
  state_->start();
}

Loader::~Loader() {
  if (state_) state_->join();
}

std::optional<Batch> Loader::next() {
  State& s = *state_;
  if (s.position.batch == s.batches) {
    s.position = {s.position.epoch + 1, 0};
    return std::nullopt;
  }
  const auto pending = s.take();
  ++s.position.batch;
  ++s.given;
  return std::move(pending->batch);
}

int64_t Loader::batches_per_epoch() const { return state_->batches; }
LoaderPosition Loader::position() const { return state_->position; }
double Loader::seconds_waited() const { return state_->waited; }
int64_t Loader::batches_given() const { return state_->given; }

}  // namespace furrow::data
