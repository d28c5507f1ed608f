#include "apps/segment_shard.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "apps/segment_output.h"
#include "apps/segment_shard_options.h"
#include "data/strict_json.h"
#include "io/atomic_file.h"
#include "io/sha256.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kShardSchema = "furrow.segment-shard/1";
constexpr size_t kMostPhotos = size_t{1} << 24;
constexpr size_t kMostListed = 100;  // of missing shards
// A photo takes some 200 bytes, so this is a shard of about 300,000; the values of a file take several times its bytes.
constexpr uint64_t kShardBytes = uint64_t{64} << 20;

[[noreturn]] void broken(const std::string& what) {
  throw Error(ErrorCode::malformed, "not a shard as `furrow segment --shard` writes it: " + what);
}

const Json& member(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end()) broken(std::string("no \"") + key + "\"");
  return *found;
}

std::string text(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_string()) broken(std::string("\"") + key + "\" is no text");
  return value.get<std::string>();
}

size_t whole(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_number_unsigned() || value.get<uint64_t>() > kMostPhotos)
    broken(std::string("\"") + key + "\" is no count");
  return value.get<size_t>();
}

struct ShardFile {
  size_t all = 0;
  std::string digest, options;
  bool keeps_json = false;
  std::vector<ShardPhoto> photos;
};

ShardFile read_shard(const std::string& path) {
  return with_file(path, [&] {
    const Json json = Json::parse(data::read_json_text(path, kShardBytes));
    if (text(json, "schema") != kShardSchema) throw Error(ErrorCode::unsupported, "another schema").in("schema");
    ShardFile out{.all = whole(json, "inputs"),
                  .digest = text(json, "inputs_sha256"),
                  .options = member(json, "options").dump()};
    out.keeps_json = text(member(json, "options"), "save").ends_with("json");  // it stands last
    const Json& photos = member(json, "photos");
    if (!photos.is_array() || photos.size() > out.all) broken("\"photos\" is no list, or too long");
    for (const Json& photo : photos) {
      ShardPhoto one{.place = whole(photo, "place"), .file = text(photo, "file"), .json = text(photo, "json")};
      if (one.place >= out.all) broken("a place beyond the inputs");
      // What is read for it lies in the folder of the results, whoever wrote this file.
      if (one.json.starts_with('/') || ("/" + one.json + "/").find("/../") != std::string::npos)
        broken("a path outside");
      const Json& faceless = member(photo, "faceless");
      if (!faceless.is_boolean()) broken("\"faceless\" is no boolean");
      one.faceless = faceless.get<bool>();
      const Json& error = member(photo, "error");
      if (!error.is_null()) {
        one.error_line = printable(text(photo, "error_line"), 2000);
        one.error = Json{{"error", error}}.dump(-1, ' ', false, Json::error_handler_t::replace);
      }
      out.photos.push_back(std::move(one));
    }
    return out;
  });
}

std::string shard_name(int index, int count) {
  return "segment-shard-" + std::to_string(index) + "-of-" + std::to_string(count) + ".json";
}

// Of which shard a file is by its name.
std::optional<Shard> shard_place(const std::string& name) {
  Shard shard;
  if (std::sscanf(name.c_str(), "segment-shard-%6d-of-%6d", &shard.index, &shard.count) != 2 || shard.index < 1 ||
      shard.index > shard.count || name != shard_name(shard.index, shard.count))
    return std::nullopt;
  return shard;
}

// The shards of the folder, all of them.
std::vector<std::string> shard_files(const std::string& folder) {
  std::set<int> present, counts;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
    if (const std::optional<Shard> shard = shard_place(entry.path().filename().string())) {
      present.insert(shard->index);
      counts.insert(shard->count);
    }
  if (error) throw Error(ErrorCode::io, "cannot be read: " + error.message()).file(folder);
  if (counts.empty())
    throw Error(ErrorCode::usage, "holds no finished shard")
        .file(folder)
        .hint("furrow segment PHOTOS --shard 1/4 -o " + folder);
  if (counts.size() > 1)
    throw Error(ErrorCode::usage,
                "holds shards of " + std::to_string(*counts.begin()) + " and of " + std::to_string(*counts.rbegin()))
        .file(folder)
        .hint("remove the segment-shard files of the division that is not meant");
  const int count = *counts.begin();
  std::vector<std::string> files, missing;
  const int absent = count - static_cast<int>(present.size());
  for (int index = 1; index <= count && missing.size() < kMostListed; ++index) {
    const std::string part = std::to_string(index) + "/" + std::to_string(count);
    if (present.contains(index))
      files.push_back(folder + "/" + shard_name(index, count));
    else
      missing.push_back("shard " + part + " is not finished: furrow segment PHOTOS --shard " + part + " -o " + folder +
                        ", with the photos and options of the others");
  }
  if (absent > 0)
    throw Error(ErrorCode::usage, std::to_string(absent) + " of " + std::to_string(count) + " shards are missing")
        .file(folder)
        .details(missing);
  return files;
}

// One photo's JSON, as it was printed.
std::string result_line(const std::string& path, const std::string& options) {
  std::error_code error;
  if (!fs::exists(path, error))
    throw Error(ErrorCode::io, "the result of a finished shard is not there").file(path).hint("run its shard again");
  std::string line = read_result_json(path);
  const Json result = with_file(path, [&] {
    data::check_json(line, kResultBytes);
    return Json::parse(line);
  });
  const auto settings = result.find("settings");
  const Json known = settings != result.end() && settings->is_object() ? *settings : Json::object();
  if (const std::string other = differing_settings(known.dump(), options); !other.empty())
    throw Error(ErrorCode::usage, "its settings are not those of its shard: " + other)
        .file(path)
        .hint("run its shard again");
  return line;
}

}  // namespace

std::string inputs_digest(const std::vector<cli::Input>& inputs) {
  io::Sha256 sum;
  for (const cli::Input& input : inputs)
    sum.update(std::as_bytes(std::span(input.path.c_str(), input.path.size() + 1)));
  return sum.hex();
}

std::vector<cli::Input> inputs_of_shard(const std::vector<cli::Input>& inputs, const Shard& shard) {
  std::vector<cli::Input> out;
  for (size_t i = static_cast<size_t>(shard.index - 1); i < inputs.size(); i += static_cast<size_t>(shard.count))
    out.push_back(inputs[i]);
  return out;
}

std::string segment_shard_file(const SegmentJob& job) {
  return job.out + "/" + shard_name(job.shard.index, job.shard.count);
}

void forget_shard(const SegmentJob& job) {
  std::error_code error;
  fs::remove(segment_shard_file(job), error);
  if (error) throw Error(ErrorCode::io, "cannot be removed: " + error.message()).file(segment_shard_file(job));
}

int64_t forget_all_shards(const std::string& folder) {
  int64_t forgotten = 0;
  std::error_code error;
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    std::error_code ignored;
    if (shard_place(entry.path().filename().string()) && fs::is_regular_file(entry.symlink_status(ignored)) &&
        cli::begins_with(entry.path().string(), std::string("{\"schema\":\"") + kShardSchema + '"'))
      files.push_back(entry.path());
  }
  for (const fs::path& path : files) {
    fs::remove(path, error);
    if (error) throw Error(ErrorCode::io, "cannot be removed: " + error.message()).file(path.string());
    ++forgotten;
  }
  return forgotten;
}

void write_shard(const SegmentJob& job, size_t all, const std::string& digest, const ModelInfo& model,
                 const std::vector<ShardPhoto>& photos) {
  Json list = Json::array();
  for (const ShardPhoto& photo : photos) {
    Json one = {{"place", photo.place},
                {"file", printable(photo.file, 4096)},
                {"json", photo.json},
                {"faceless", photo.faceless}};
    one["error"] = photo.error.empty() ? Json(nullptr) : Json::parse(photo.error)["error"];
    if (!photo.error.empty()) one["error_line"] = photo.error_line;
    list.push_back(std::move(one));
  }
  const Json json = {{"schema", kShardSchema},         {"shard", job.shard.index},
                     {"shards", job.shard.count}, {"inputs", all},
                     {"inputs_sha256", digest},   {"options", Json::parse(shard_options(job, model))},
                     {"photos", std::move(list)}};
  const std::string bytes = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (bytes.size() > kShardBytes)  // said now and not when all shards are done
    throw Error(ErrorCode::limit, "bytes of the file of a shard")
        .file(segment_shard_file(job))
        .limit(kShardBytes, bytes.size())
        .hint("divide the photos among more shards; what is finished is not done again");
  io::write_file_atomically(segment_shard_file(job), std::as_bytes(std::span(bytes)));
}

int merge_segment(const SegmentJob& job, const cli::Common& common) {
  std::map<size_t, ShardPhoto> photos;
  std::optional<ShardFile> first;
  for (const std::string& path : shard_files(job.out)) {
    ShardFile shard = read_shard(path);
    if (!first) first = shard;
    if (shard.all != first->all || shard.digest != first->digest)
      throw Error(ErrorCode::usage, "its photos are not those of the first shard")
          .file(path)
          .hint("run all shards with the same photos");
    if (const std::string other = differing_options(shard.options, first->options); !other.empty())
      throw Error(ErrorCode::usage, "its options are not those of the first shard: " + other)
          .file(path)
          .hint("run its shard again with --force and the options of the others");
    for (ShardPhoto& photo : shard.photos)
      if (!photos.emplace(photo.place, photo).second)
        throw Error(ErrorCode::malformed, "a photo stands in two shards").file(path);
  }
  if (photos.size() != first->all) throw Error(ErrorCode::malformed, "photos are in no shard").file(job.out);
  if (common.json && !first->keeps_json)
    throw Error(ErrorCode::usage, "the shards kept no JSON to print")
        .file(job.out)
        .hint("run them with --save ...,json");
  size_t faceless = 0;
  std::vector<std::string> failures;
  for (auto& [place, photo] : photos) {
    if (!photo.error.empty()) {
      failures.push_back(photo.error_line);
      if (common.json) cli::print(photo.error + "\n");
      continue;
    }
    if (photo.json.empty()) {
      faceless += photo.faceless ? 1 : 0;
      continue;
    }
    const std::string line = result_line(job.out + "/" + photo.json, first->options);
    faceless += says_no_face(line) ? 1 : 0;
    if (common.json) cli::print(line + "\n");
  }
  const size_t done = photos.size() - failures.size();
  if (!common.json)
    cli::print(std::to_string(done) + " done" +
               (faceless > 0 ? ", " + std::to_string(faceless) + " without a face" : "") +
               (failures.empty() ? "" : ", " + std::to_string(failures.size()) + " failed") + "\n");
  if (!failures.empty())
    throw Error(ErrorCode::malformed,
                std::to_string(failures.size()) + " of " + std::to_string(photos.size()) + " inputs failed")
        .details(failures);
  if (done > 0 && faceless == done)
    throw Error(ErrorCode::no_face, "no face found in any input")
        .hint("--crop none, if the photos are face crops already");
  return 0;
}

}  // namespace furrow::apps
