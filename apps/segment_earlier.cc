#include "apps/segment_earlier.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/strict_json.h"
#include "kernels/error.h"
#include "kernels/shortened.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using State = Earlier::State;

bool may_be_finished(const SegmentJob& job, const cli::Input& input) {
  return input.from_folder || job.shard.count > 1;
}

bool is_input(const std::string& path, const std::set<std::string>& inputs) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(path, error);
  return !error && inputs.contains(canonical.string());
}

// Links are nobody's result: what they point to is left alone.
bool is_file(const std::string& path) {
  std::error_code error;
  return !path.empty() && fs::is_regular_file(fs::symlink_status(path, error));
}

const Json* entry_of(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? &*found : nullptr;
}

// What a result says it was made of; whatever is not written as origin_of() writes it is unknown.
std::optional<Origin> stored_origin(const Json& result, int& prob_bits) {
  const Json *input = entry_of(result, "input"), *settings = entry_of(result, "settings");
  const Json* path = input != nullptr ? entry_of(*input, "path") : nullptr;
  if (path == nullptr || !path->is_string() || settings == nullptr || !settings->is_object()) return std::nullopt;
  Json compared = *settings;
  const Json* bits = entry_of(compared, "prob_bits");
  prob_bits = bits != nullptr && bits->is_number_integer() ? bits->get<int>() : 0;
  compared.erase("prob_bits");
  return Origin{input->dump(), compared.dump()};
}

// Whether a probability picture that is there is as deep as the one asked for; true where there is none of the two.
bool same_depth(const SegmentJob& job, const Earlier& earlier) {
  return !job.save_prob || earlier.pictures.prob.empty() || earlier.prob_bits == probability_bits(job);
}

// Whether an earlier JSON stays true while this run writes: the same pictures, and no probability picture of another
// depth than it says, even if that picture is gone.
bool json_stays_true(const SegmentJob& job, const Earlier& earlier) {
  return earlier.state == State::same && same_depth(job, earlier) &&
         (!job.save_prob || earlier.prob_bits == 0 || earlier.prob_bits == probability_bits(job));
}

Error exists_already(const std::string& path, const std::string& why) {
  return Error(ErrorCode::usage, "exists already" + why)
      .file(path)
      .hint("choose another folder with -o, or overwrite with --force");
}

}  // namespace

Earlier find_earlier(const OutputPaths& files, const Origin& origin) {
  Earlier out;
  out.file = files.json;
  std::error_code error;
  if (!fs::exists(fs::symlink_status(files.json, error))) return out;
  out.state = State::foreign;
  try {
    std::string line = read_result_json(files.json);
    data::check_json(line, kResultBytes);
    const Json result = Json::parse(line);
    out.state = State::unknown;
    if (const Json* names = entry_of(result, "files"); names != nullptr) {
      if (entry_of(*names, "mask") != nullptr && is_file(files.mask)) out.pictures.mask = files.mask;
      if (entry_of(*names, "prob") != nullptr && is_file(files.prob)) out.pictures.prob = files.prob;
      if (entry_of(*names, "overlay") != nullptr && is_file(files.overlay)) out.pictures.overlay = files.overlay;
    }
    const std::optional<Origin> stored = stored_origin(result, out.prob_bits);
    if (!stored) return out;
    out.state = origin.same_result(*stored) ? State::same : origin.same_photo(*stored) ? State::outdated : State::other;
    if (out.state == State::same) out.json = std::move(line);
    if (out.state == State::other) out.made_of = Json::parse(stored->input)["path"].get<std::string>();
  } catch (const Error&) {  // not ours, or not to be read
  } catch (const Json::exception&) {
  }
  return out;
}

bool finished_before(const SegmentJob& job, const cli::Input& input, const OutputPaths& asked, const Earlier& earlier) {
  if (!may_be_finished(job, input) || job.force || earlier.state != State::same) return false;
  if (says_no_face(earlier.json)) return true;
  return (asked.mask.empty() || !earlier.pictures.mask.empty()) &&
         (asked.overlay.empty() || !earlier.pictures.overlay.empty()) &&
         (asked.prob.empty() || (!earlier.pictures.prob.empty() && same_depth(job, earlier)));
}

bool replaces(const SegmentJob& job, const cli::Input& input, const Earlier& earlier) {
  if (!may_be_finished(job, input) || job.force) return false;
  return earlier.state == State::outdated || (earlier.state == State::same && !same_depth(job, earlier));
}

bool has_leftovers(const SegmentJob& job, const cli::Input& input, const OutputPaths& asked, const Earlier& earlier) {
  return may_be_finished(job, input) && !job.force && !asked.json.empty() && earlier.state == State::none &&
         std::ranges::any_of(asked.all(), is_file);
}

void refuse_overwriting(const SegmentJob& job, const cli::Input& input, const OutputPaths& asked,
                        const Earlier& earlier, const std::set<std::string>& inputs) {
  for (const std::string& path : asked.all())
    if (is_input(path, inputs))
      throw Error(ErrorCode::usage, "a result would overwrite an input")
          .file(path)
          .hint("choose another folder with -o");
  if (job.force) return;
  const bool goes_on = may_be_finished(job, input);
  if (earlier.state == State::foreign) throw exists_already(earlier.file, " and is no result that can be read");
  if (earlier.state == State::unknown) throw exists_already(asked.json, " and does not say what it was made of");
  if (earlier.state == State::other && earlier.made_of == "-")
    throw exists_already(asked.json, ", of standard input: whether of this photo is not known");
  if (earlier.state == State::other)
    throw exists_already(asked.json, ", of another photo: " + shortened(earlier.made_of, 160));
  if (earlier.state == State::outdated && !goes_on)
    throw Error(ErrorCode::usage, "exists already, with other settings or of the photo before it changed")
        .file(asked.json)
        .hint("--force overwrites results");
  // Of a result of this photo its own files may be written again. JSON is written last: pictures of a folder's photo
  // without it are what an interrupted run left.
  const bool replaceable = goes_on && (earlier.state == State::same || earlier.state == State::outdated);
  const std::vector<std::string> pictures = earlier.pictures.all();
  for (const std::string& path : asked.all()) {
    std::error_code error;
    if (!fs::exists(fs::symlink_status(path, error))) continue;
    const bool own = path == asked.json || std::ranges::find(pictures, path) != pictures.end();
    if (is_file(path) && ((replaceable && own) || has_leftovers(job, input, asked, earlier))) continue;
    if (path == asked.json && !job.save_json && earlier.state == State::same) continue;  // gets the new names besides
    // Written by a run that was killed before it named it in the JSON, or somebody's own: write_outputs() compares.
    if (is_file(path) && goes_on && json_stays_true(job, earlier)) continue;
    throw Error(ErrorCode::usage, "exists already").file(path).hint("--force overwrites results");
  }
}

bool changes_results(const OutputPaths& asked, const Earlier& earlier) {
  return earlier.state != State::same && (earlier.state != State::none || std::ranges::any_of(asked.all(), is_file));
}

Replaced replaced_by(const SegmentJob& job, const cli::Input& input, const OutputPaths& asked, const Earlier& earlier,
                     const std::set<std::string>& inputs) {
  Replaced out{.named = earlier.pictures.all(), .stale = {}, .json_stays = json_stays_true(job, earlier)};
  out.compared = out.json_stays && may_be_finished(job, input) && !job.force;
  if (earlier.state == State::same) return out;
  const std::vector<std::string> written = asked.all();
  for (const std::string& path : out.named)
    if (std::ranges::find(written, path) == written.end() && !is_input(path, inputs)) out.stale.push_back(path);
  return out;
}

}  // namespace furrow::apps
