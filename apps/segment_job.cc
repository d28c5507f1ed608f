#include "apps/segment_job.h"

#include <atomic>
#include <cerrno>
#include <deque>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "apps/bounded_queue.h"
#include "apps/cli/progress.h"
#include "apps/cli/signals.h"
#include "apps/embedded_model.h"
#include "apps/segment_decode.h"
#include "apps/segment_shard.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;

// One network at work and the photos before and after it. A device has two: while one computes, photos of the other are on
// their way to the device and back. Photos go to the lanes in turn and are written in turn, so their order stays. Where the
// device has not the memory for two networks, the second is given up, and the first computes the photos of both lanes.
struct Lane {
  explicit Lane(Segmenter s) : segmenter(std::move(s)) {}
  std::mutex busy;                      // held while `segmenter` computes or goes
  std::optional<Segmenter> segmenter;   // empty: given up
  BoundedQueue<Work> decoded{2}, computed{2};
};

// Closes queues however their user leaves, so that nobody waits for ever at the other end.
struct AtEnd {
  std::function<void()> close;
  ~AtEnd() { close(); }
};

// On a thread of its own. One std::async for all of them: each type of work costs the program two kilobytes.
std::future<void> beside(std::function<void()> work) { return std::async(std::launch::async, std::move(work)); }

struct Tally {
  int64_t done = 0, skipped = 0, faceless = 0;
  int64_t replaced = 0, leftovers = 0;   // results of other settings; pictures without JSON
  std::vector<std::string> failures;
  std::map<std::string, Error> failed;   // by path, for the file of a shard
  std::set<std::string> without_face;    // likewise
  int64_t finished() const { return done + skipped + static_cast<int64_t>(failures.size()); }
};

std::string counted(int64_t n, const std::string& what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

// Everything that lives as long as the job.
class Runner {
 public:
  Runner(const SegmentJob& job, const cli::Common& common)
      : job_(job), common_(common), all_(cli::expand_inputs(job.inputs, job.out, &others_)), inputs_(inputs_of_shard(all_, job.shard)) {
    std::error_code error;
    for (const cli::Input& input : all_)
      if (const fs::path canonical = fs::weakly_canonical(input.path, error); input.path != "-" && !error) canonical_.insert(canonical.string());
    if (all_.size() > 1 && job.labels != "none" && job.labels != "auto" && !fs::is_directory(job.labels, error))
      throw Error(ErrorCode::usage, "--labels names one label map for " + std::to_string(all_.size()) + " photos").hint("name a folder that holds NAME.png for each");
    prepare_folder();
    if (job.shard.count > 1) forget_shard(job);
    model_ = std::make_shared<Model>(load_wrinkle_model(job.weights, job.limits));
    std::shared_ptr<Model> parser;
    if (job.labels == "auto") {
      parser = std::make_shared<Model>(Model::load(job.parser, job.limits));
      job_.parser_sha256 = parser->info().sha256;
    }
    SegmentOptions options = job.options;
    options.stop = [] { return cli::interrupted() != 0; };  // a large photo takes minutes; a signal does not wait for it
    lanes_.emplace_back(Segmenter(model_, job.compute, options, parser));
    if (lanes_[0].segmenter->runs_cuda_kernels() && inputs_.size() > 1)
      lanes_.emplace_back(Segmenter(model_, job.compute, options, parser));
    pool_.emplace(job.compute.threads);
    for (const std::string& note : model_->info().notes) cli::note(common_, note);
    if (job.compute.device == "cpu-emulated") cli::note(common_, lanes_[0].segmenter->device_reason());
  }

  int run() {
    cli::Progress progress(static_cast<int64_t>(inputs_.size()), "photos", !common_.quiet && !common_.json);
    Tally tally;
    const auto close = [&](BoundedQueue<Work> Lane::* queue) {
      for (Lane& lane : lanes_) (lane.*queue).close();
    };
    auto decoder = beside([&] {
      const AtEnd end{[&] { close(&Lane::decoded); }};
      decode_all();
    });
    auto writer = beside([&] {
      const AtEnd end{[&] { close(&Lane::computed); }};   // a writer that fails must not leave the others waiting for room
      write_all(tally, progress);
    });
    std::vector<std::future<void>> computing;
    for (Lane& lane : lanes_)
      computing.push_back(beside([this, &lane] {
        const AtEnd end{[&lane] { lane.decoded.close(), lane.computed.close(); }};
        compute_all(lane);
      }));
    writer.get();
    for (std::future<void>& lane : computing) lane.get();
    decoder.get();
    progress.clear();
    return finish(tally);
  }

 private:
  void prepare_folder() {
    std::error_code error;
    fs::create_directories(job_.out, error);
    if (error) throw Error(ErrorCode::io, "cannot create the folder for results: " + error.message()).file(job_.out);
  }

  void decode_all() {
    size_t next = 0;
    for (const cli::Input& input : inputs_) {
      if (cli::interrupted() != 0) break;
      Work work;
      work.input = &input;
      decode(job_, model_->info(), canonical_, work);
      if (!lanes_[next].decoded.push(std::move(work))) break;
      next = (next + 1) % lanes_.size();
    }
  }

  void compute_all(Lane& lane) {
    while (std::optional<Work> work = lane.decoded.pop()) {
      if (cli::interrupted() != 0 || !compute(lane, *work)) break;
      if (!lane.computed.push(std::move(*work))) break;
    }
  }

  // Nothing where that lane's network was given up.
  static std::optional<SegmentResult> run_on(Lane& lane, const Work& work) {
    const std::lock_guard lock(lane.busy);
    if (!lane.segmenter) return std::nullopt;
    return lane.segmenter->run(work.picture, work.labels ? &*work.labels : nullptr);
  }

  SegmentResult run(Lane& lane, const Work& work) {
    const bool two = lanes_.size() > 1 && !one_at_a_time_;
    try {
      if (std::optional<SegmentResult> result = run_on(lane, work)) return std::move(*result);
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error& error) {
      if (!two || error.code() != ErrorCode::device) throw;
      const std::lock_guard lock(lanes_[1].busy);   // a photo that it computes is finished first
      if (!one_at_a_time_.exchange(true)) why_one_ = error.line(), lanes_[1].segmenter.reset();
    }
    return *run_on(lanes_[0], work);
  }

  // False where a signal ended it.
  bool compute(Lane& lane, Work& work) {
    if (work.failure || work.finished) return true;
    try {
      with_file(shown(*work.input), [&] {
        work.result = run(lane, work);
        return 0;
      });
    } catch (const Stopped&) {
      return false;
    } catch (const DeviceLost&) {
      throw;   // no other photo would fare better
    } catch (const Error& error) {
      work.failure = error;
    } catch (const std::bad_alloc&) {
      work.failure = out_of_memory(work);
    }
    return true;
  }

  void write_all(Tally& tally, cli::Progress& progress) {
    for (size_t next = 0;; next = (next + 1) % lanes_.size()) {
      std::optional<Work> work = lanes_[next].computed.pop();
      if (!work) break;
      if (work->finished) pass_over(*work, tally);
      else if (!work->failure) write_one(*work, tally, progress);
      if (work->failure) {
        if (all_.size() == 1 && job_.shard.count == 1) {
          progress.clear(), say_others();
          throw *work->failure;
        }
        tally.failed.emplace(work->input->path, *work->failure);
        tally.failures.push_back(work->failure->line());
        if (common_.json) cli::print(cli::error_json(*work->failure) + "\n");
      }
      progress.update(tally.finished(), static_cast<int64_t>(tally.failures.size()), tally.skipped);
    }
  }

  void pass_over(const Work& work, Tally& tally) {
    ++tally.skipped;
    if (says_no_face(work.earlier.json)) ++tally.faceless, tally.without_face.insert(work.input->path);
    if (common_.json) cli::print(work.earlier.json + "\n");
  }

  void write_one(Work& work, Tally& tally, cli::Progress& progress) {
    const bool same = work.earlier.state == Earlier::State::same;
    const bool replaced = replaces(job_, *work.input, work.earlier), leftovers = has_leftovers(job_, *work.input, work.files, work.earlier);
    const PhotoResult photo{*work.input, work.picture, work.result, model_->info(), lanes_[0].segmenter->device(), work.decode_milliseconds,
                            work.origin, same ? work.earlier.pictures : OutputPaths{},
                            job_.save_prob || !same ? probability_bits(job_) : work.earlier.prob_bits};
    std::vector<std::string> left;
    try {
      if (job_.shard.count == 1 && changes_results(work.files, work.earlier)) forget_shards();
      std::error_code error;
      fs::create_directories(fs::path(job_.out + "/" + work.input->base).parent_path(), error);
      left = write_outputs(photo, work.files, replaced_by(job_, *work.input, work.files, work.earlier, canonical_), inputs_.size() == 1 ? &*pool_ : nullptr);
    } catch (const Error& error) {
      work.failure = error;
      return;
    } catch (const std::bad_alloc&) {
      work.failure = out_of_memory(work);
      return;
    }
    ++tally.done;
    const bool faceless = work.result.status == SegmentResult::Status::no_face;
    tally.replaced += replaced ? 1 : 0, tally.leftovers += leftovers && !faceless ? 1 : 0;
    if (faceless) ++tally.faceless, tally.without_face.insert(work.input->path);
    progress.clear();
    for (const std::string& path : left) cli::note(common_, printable(path) + " is left as it is: the photo has no face, and no JSON says that it is a result");
    if (common_.json) return cli::print(result_json(photo, work.files) + "\n");
    if (job_.preview && inputs_.size() == 1) cli::print(result_preview(photo));
    cli::print(result_sentence(photo) + "\n");
    if (inputs_.size() == 1 && work.result.status == SegmentResult::Status::ok) say_where(work.files);
    for (const std::string& note : work.result.notes) cli::note(common_, note);
  }

  // Finished shards tell --merge of results that are about to become others.
  void forget_shards() {
    if (std::exchange(shards_forgotten_, true)) return;
    if (const int64_t count = forget_all_shards(job_.out); count > 0)
      cli::note(common_, counted(count, "file") + " of finished shards removed from " + printable(job_.out) + ": this run replaces results of theirs");
  }

  void say_others() {
    if (const std::string others = cli::other_files_text(others_); !others.empty()) cli::note(common_, others + " skipped");
  }

  void say_where(const OutputPaths& files) {
    if (common_.quiet) return;
    std::string list;
    for (const std::string& path : files.all()) list += (list.empty() ? "" : "  ") + path;
    cli::note(common_, "written: " + list);
    cli::note(common_, "weights: " + model_->info().name + ", licence " + model_->info().licence);
    if (job_.preview) cli::note(common_, "next: " + std::string(program_invocation_name) + " segment FOLDER -o " + job_.out + " --faces all   (every option: --help)");
  }

  int finish(const Tally& tally) {
    if (all_.size() > 1 || tally.skipped > 0)
      cli::note(common_, std::to_string(tally.done) + " done" + (tally.skipped > 0 ? ", " + std::to_string(tally.skipped) + " finished before" : "") +
                             (tally.faceless > 0 ? ", " + std::to_string(tally.faceless) + " without a face" : "") +
                             (tally.failures.empty() ? "" : ", " + std::to_string(tally.failures.size()) + " failed"));
    if (tally.replaced > 0) cli::note(common_, counted(tally.replaced, "result") + " of other settings, or of a photo before it changed, replaced");
    if (tally.leftovers > 0) cli::note(common_, "pictures without their JSON, as an interrupted run leaves them, replaced: of " + counted(tally.leftovers, "photo"));
    say_others();
    if (!why_one_.empty() && tally.done > 0) cli::note(common_, "photos were computed one at a time, as the device has no room for two: " + why_one_);
    const bool all = tally.finished() == static_cast<int64_t>(inputs_.size());
    if (const int status = cli::interrupted(); status != 0 && !all) {
      cli::note(common_, "interrupted; run the same command again to go on");
      return status;
    }
    if (job_.shard.count > 1) write_shard(job_, all_.size(), inputs_digest(all_), model_->info(), shard_photos(tally));
    if (!tally.failures.empty())
      throw Error(ErrorCode::malformed, std::to_string(tally.failures.size()) + " of " + std::to_string(inputs_.size()) + " inputs failed")
          .details(tally.failures);
    if (const int64_t whole = tally.done + tally.skipped; whole > 0 && tally.faceless == whole && job_.shard.count == 1)   // --merge says it of all
      throw Error(ErrorCode::no_face, inputs_.size() == 1 ? "no face found" : "no face found in any input")
          .hint("--crop none, if the photos are face crops already");
    return 0;
  }

  std::vector<ShardPhoto> shard_photos(const Tally& tally) const {
    std::vector<ShardPhoto> photos;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const std::string& path = inputs_[i].path;
      ShardPhoto photo{.place = static_cast<size_t>(job_.shard.index - 1) + i * static_cast<size_t>(job_.shard.count),
                       .file = path, .json = job_.save_json ? inputs_[i].base + ".json" : "",
                       .faceless = tally.without_face.contains(path)};
      if (const auto failed = tally.failed.find(path); failed != tally.failed.end())
        photo.error_line = failed->second.line(), photo.error = cli::error_json(failed->second);
      photos.push_back(std::move(photo));
    }
    return photos;
  }

  SegmentJob job_;
  const cli::Common& common_;
  cli::OtherFiles others_;                 // in the folders
  std::vector<cli::Input> all_, inputs_;   // of all shards; of this one
  std::set<std::string> canonical_;
  std::shared_ptr<Model> model_;
  std::deque<Lane> lanes_;
  std::atomic<bool> one_at_a_time_ = false;   // the second network was given up
  std::string why_one_;                       // until the lanes are done, of who holds lanes_[1].busy
  std::optional<ThreadPool> pool_;
  bool shards_forgotten_ = false;
};

}  // namespace

int run_segment(const SegmentJob& job, const cli::Common& common) {
  return job.merge ? merge_segment(job, common) : Runner(job, common).run();
}

}  // namespace furrow::apps
