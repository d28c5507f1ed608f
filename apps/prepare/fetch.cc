#include "apps/prepare/fetch.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <set>

#include "apps/cli/signals.h"
#include "apps/cli/text.h"
#include "apps/fetch.h"
#include "apps/model_show.h"
#include "apps/prepare/fetch_ffhq.h"
#include "apps/prepare/fetch_unpack.h"
#include "apps/prepare/folder_job.h"
#include "kernels/error.h"
#include "kernels/threads.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;
using cli::JsonObject;
using cli::Text;

constexpr uint64_t kSpare = uint64_t{64} << 20;  // of the disk, that is left
constexpr int kFailuresInARow = 16;              // then the rest is not tried: the network, or a quota, is gone

// Bytes of "500", "3k", "20M", "7G" (powers of 1000).
uint64_t parse_size(const std::string& text) {
  const std::string_view units = "kMGT";
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const size_t unit = digits < text.size() ? units.find(text[digits]) : 0;
  if (digits == 0 || digits > 12 || digits + 1 < text.size() || unit == std::string_view::npos)
    throw Error(ErrorCode::usage, "--size " + printable(text) + ": not a number of bytes").hint("e.g. --size 500M");
  uint64_t bytes = std::stoull(text);
  for (size_t i = 0; digits < text.size() && i <= unit; ++i) bytes *= 1000;
  if (bytes == 0 || bytes > INT64_MAX) throw Error(ErrorCode::usage, "--size is not a useful number of bytes");
  return bytes;
}

uint64_t free_bytes(const std::string& folder) {
  std::error_code none;
  fs::path at = fs::absolute(folder, none);
  while (!fs::exists(at, none) && at.has_parent_path() && at != at.parent_path()) at = at.parent_path();
  struct statvfs disk = {};
  return statvfs(at.c_str(), &disk) == 0 ? uint64_t{disk.f_bavail} * disk.f_frsize : uint64_t{INT64_MAX};
}

// A file that is wanted, and what became of it.
struct Wanted {
  PublishedFile known;
  std::string folder;
  enum class End : uint8_t { none, done, before, failed } end = End::none;
  std::optional<Error> error;
  std::string hash;
  Unpacked unpacked;
  std::string path() const { return folder + "/" + known.file; }
};

class FetchJob {
 public:
  FetchJob(const FetchOptions& options, const cli::Common& common)
      : options_(options), common_(common), most_(options.size.empty() ? 0 : parse_size(options.size)) {
    if (options.manifest.empty()) {
      manifest_ = builtin_data();
      std::ranges::move(builtin_manifest(), std::back_inserter(manifest_));
    } else {
      manifest_ = read_manifest(options.manifest);
    }
  }

  int run() {
    if (options_.names.empty() || options_.list) {
      cli::print(list_published(manifest_, common_.json));
      return 0;
    }
    for (const std::string& name : options_.names) want(find_published(manifest_, name));
    if (!by_id_ && (!options_.metadata.empty() || !options_.ids.empty() || options_.limit != 0))
      throw Error(ErrorCode::usage, "--metadata, --ids and --limit are of ffhq, which is not named");
    if (!options_.from.empty()) {
      take();
    } else {
      for (Wanted& each : wanted_)
        if (cli::interrupted() == 0) look(each);
      check_room();
      fetch();
    }
    return finish();
  }

 private:
  using End = Wanted::End;

  void want(PublishedFile known) {
    if (!seen_.insert(known.name).second) return;
    by_id_ = by_id_ || known.by_id;
    cli::note(common_, known.name + ": licence " + known.licence + "; cite " + known.citation);
    if (!options_.sha256.empty() && (options_.names.size() != 1 || known.by_id))
      throw Error(ErrorCode::usage, "--sha256 goes with one file");
    if (!options_.sha256.empty()) known.sha256 = demanded_hash(options_.sha256, known);
    const std::string folder = !options_.folder.empty() ? options_.folder : known.data ? "data" : weights_folder();
    if (known.by_id) {
      if (!options_.from.empty())
        throw Error(ErrorCode::usage, known.name + " is many files: --from takes one")
            .hint("put them below " + folder + "; those that fit are passed over");
      if (options_.metadata.empty())
        throw Error(ErrorCode::usage, known.name + " needs --metadata FILE")
            .hint("`furrow prepare fetch ffhq-metadata` brings ffhq-dataset-v2.json");
      if (options_.ids.empty() && options_.limit == 0)
        throw Error(ErrorCode::usage, known.name + ": 70,000 photos, 89 GB")
            .hint("say which: --ids 0,5,10-20, or --limit 100 for the first");
      const std::set<int> ids = options_.ids.empty() ? std::set<int>() : parse_ids(options_.ids);
      for (PublishedFile& photo : ffhq_photos(options_.metadata, ids, static_cast<size_t>(options_.limit), known))
        wanted_.push_back({std::move(photo), folder, {}, {}, {}, {}});
      return;
    }
    if (options_.from.empty() && !known.direct)
      throw Error(ErrorCode::unsupported, known.name + " has no direct address: its page is for people")
          .file(known.origin)
          .hint("open the page, then: furrow prepare fetch " + known.name + " --from FILE");
    if (known.hash_text().empty() && !known.data && options_.from.empty())
      throw Error(ErrorCode::usage,
                  "the publisher of " + known.name + " states no hash, so a download could not be checked")
          .hint("give the hash you expect with --sha256, or fetch " + known.origin +
                " yourself and use --from FILE, which tells you its hash");
    wanted_.push_back({std::move(known), folder, {}, {}, {}, {}});
  }

  // Whether a file is there already; one that is another is left alone.
  void look(Wanted& each) {
    std::error_code none;
    if (options_.force || !fs::exists(each.path(), none)) return;
    try {
      PublishedFile known = each.known;
      if (known.hash_text().empty()) known.sha256 = recorded_hash(each.path());
      if (known.hash_text().empty() && !known.size)
        throw Error(ErrorCode::usage, "exists, and no hash says what it is").file(each.path());
      each.hash = verify_file(each.path(), known);
      each.end = End::before;
    } catch (const Error& error) {
      each.error = Error(error).hint("move it away, or --force fetches it anew");
      each.end = End::failed;
    }
  }

  // Before anything is fetched: what --size allows, and the disk.
  void check_room() {
    uint64_t need = 0, unknown = 0;
    for (const Wanted& each : wanted_)
      if (each.end == End::none) {
        need += std::min<uint64_t>(each.known.size.value_or(each.known.about), INT64_MAX / 100'000);
        unknown += !each.known.size;
      }
    if (most_ != 0 && need > most_)
      throw Error(ErrorCode::limit, "more bytes would come than --size allows; nothing was fetched").limit(most_, need);
    if (wanted_.empty()) return;
    const uint64_t free = free_bytes(wanted_[0].folder);
    if (free < need + kSpare)
      throw Error(ErrorCode::io, Text() << "the disk is too full: " << need << " bytes are needed and " << kSpare
                                        << " to spare, " << free << " are free")
          .file(wanted_[0].folder);
    const uint64_t room = most_ == 0 ? free - kSpare : std::min(most_, free - kSpare);
    share_ = (room - need) / std::max<uint64_t>(unknown, 1);
  }

  // What a file of unknown size may take at most, so that all of them stay within --size and the disk.
  uint64_t bound(const PublishedFile& known) const {
    const uint64_t most = std::max<uint64_t>(known.about + share_, 1);  // 0 would be no bound
    return known.about == 0 ? most : std::min(most, 2 * known.about);
  }

  void take() {
    if (wanted_.size() != 1) throw Error(ErrorCode::usage, "--from goes with one name");
    Wanted& only = wanted_[0];
    std::error_code none;
    if (!options_.force && fs::exists(only.path(), none))
      throw Error(ErrorCode::usage, "exists already").file(only.path()).hint("--force overwrites it");
    take_local(options_.from, only.known, only.folder);
    settle(only);
  }

  // A file that has arrived.
  void settle(Wanted& each) {
    PublishedFile known = each.known;
    if (known.hash_text().empty()) known.sha256 = recorded_hash(each.path());
    each.hash = known.hash_text().substr(known.hash_text().find(' ') + 1);
    each.end = End::done;
  }

  FileEnd fetch_one(Wanted& each) {
    if (each.end == End::before) return FileEnd::passed;
    if (each.end == End::failed) return FileEnd::failed;
    if (failures_ >= kFailuresInARow) return FileEnd::passed;
    DownloadOptions how;
    how.progress = wanted_.size() == 1 && !common_.quiet && !common_.json;
    how.tries = options_.tries, how.stall_s = options_.stall_s, how.most = bound(each.known),
    how.command = "prepare fetch";
    try {
      download(each.known, each.folder, how);
      settle(each);
      failures_ = 0;
      return FileEnd::worked;
    } catch (const Interrupted&) { return FileEnd::passed; } catch (const Error& error) {
      each.error = error;
    }
    each.end = End::failed;
    ++failures_;
    return FileEnd::failed;
  }

  void fetch() {
    ThreadPool pool(
        static_cast<int>(std::min<size_t>(static_cast<size_t>(options_.jobs), std::max<size_t>(wanted_.size(), 1))));
    for_files(pool, wanted_.size(), "files", common_, [&](size_t i) { return fetch_one(wanted_[i]); });
  }

  bool is_there(const Wanted& each) const { return each.end == End::done || each.end == End::before; }

  void unpack_all() {
    for (Wanted& each : wanted_) {
      if (!is_there(each) || cli::interrupted() != 0) continue;
      if (each.known.unpack.empty()) {
        cli::note(common_, each.known.name + ": not unpacked");
        continue;
      }
      try {
        each.unpacked = unpack(each.path(), each.folder, each.known.unpack, options_.limits);
      } catch (const Error& error) {
        each.error = error;
        each.end = End::failed;
      }
    }
  }

  std::string json_of(const Wanted& each) const {
    JsonObject out;
    out.text("name", each.known.name)
        .text("file", each.path())
        .text(each.known.sha256.empty() && !each.known.md5.empty() ? "md5" : "sha256", each.hash);
    out.raw("checked", each.known.hash_text().empty() ? "false" : "true")
        .raw("finished_before", each.end == End::before ? "true" : "false");
    if (options_.unpack) out.number("unpacked", each.unpacked.files + each.unpacked.before);
    return out.text("licence", each.known.licence).text("citation", each.known.citation).str();
  }

  void say(const Wanted& each) const {
    if (each.known.by_id) return;
    cli::print(each.path() + "\n");
    if (each.known.hash_text().empty())
      cli::note(common_, each.known.name +
                             ": its publisher states no hash, so where it comes from is all that speaks for it; its "
                             "own is written beside it: sha256 " +
                             each.hash);
    if (options_.unpack && !each.known.unpack.empty())
      cli::note(common_, (Text() << count_text(each.unpacked.files, "file") << " unpacked, " << each.unpacked.before
                                 << " finished before")
                             .str());
  }

  int finish() {
    if (options_.unpack) unpack_all();
    std::vector<std::string> there, failures, failed_json;
    int64_t none = 0, photos = 0, photos_before = 0;
    const Error* first = nullptr;
    bool one_code = true;
    for (const Wanted& each : wanted_) {
      none += each.end == End::none;
      if (is_there(each)) {
        if (common_.json)
          there.push_back(json_of(each));
        else
          say(each);
        (each.end == End::before ? photos_before : photos) += each.known.by_id;
      } else if (each.end == End::failed) {
        one_code = one_code && (first == nullptr || first->code() == each.error->code());
        if (first == nullptr) first = &*each.error;
        failures.push_back(each.error->line());
        // {"error":{...}}
        if (const std::string json = cli::error_json(*each.error); common_.json)
          failed_json.push_back(json.substr(9, json.size() - 10));
      }
    }
    if (common_.json)
      cli::print(JsonObject()
                     .text("schema", "furrow.fetch/1")
                     .raws("files", there)
                     .raws("failed", failed_json)
                     .number("not_tried", none)
                     .str() +
                 "\n");
    else if (photos + photos_before > 0)
      cli::print(
          (Text() << count_text(photos, "photo") << " fetched, " << photos_before << " finished before\n").str());
    if (const int status = cli::interrupted(); status != 0) {
      cli::note(common_, "interrupted; run the same command again to go on");
      return status;
    }
    if (first == nullptr) return 0;
    if (wanted_.size() == 1) throw Error(*first);
    Text what;
    what << static_cast<int64_t>(failures.size()) << " of " << count_text(static_cast<int64_t>(wanted_.size()), "file")
         << " failed";
    if (none > 0) what << ", " << none << " were not tried any more";
    throw Error(one_code ? first->code() : ErrorCode::io, what)
        .hint("run the same command again to go on")
        .details(std::move(failures));
  }

  const FetchOptions& options_;
  const cli::Common& common_;
  uint64_t most_ = 0, share_ = 0;  // bytes: of --size; what each file of unknown size may take beyond its rounded one
  bool by_id_ = false;
  std::set<std::string> seen_;
  std::vector<PublishedFile> manifest_;
  std::vector<Wanted> wanted_;
  std::atomic<int> failures_ = 0;
};

}  // namespace

int prepare_fetch(const FetchOptions& options, const cli::Common& common) { return FetchJob(options, common).run(); }

}  // namespace furrow::apps
