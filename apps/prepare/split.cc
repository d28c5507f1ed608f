// `furrow prepare split`.
#include "data/split.h"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "apps/cli/text.h"
#include "apps/prepare/datasets.h"
#include "apps/prepare/folder_job.h"
#include "data/attributes.h"
#include "data/pairs.h"
#include "data/strict_json.h"

namespace furrow::apps {
namespace {

constexpr uint64_t kLargestList = uint64_t{64} << 20;

// As train's data set has them: stems, sorted bytewise.
std::vector<std::string> ids_of(const std::string& names) {
  std::vector<std::string> ids;
  std::error_code error;
  if (std::filesystem::is_directory(names, error)) {
    for (const data::PairFiles& pair :
         data::find_pairs({.images = names, .check = data::PairCheck::names, .unread_file = data::Policy::accept})
             .pairs)
      ids.push_back(pair.id);
    return ids;
  }
  return with_file(names, [&] {
    std::istringstream lines(data::read_text_within(names, kLargestList, "a list of names"));
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (!line.empty()) ids.push_back(data::image_id(line));
    }
    std::ranges::sort(ids);
    std::vector<std::string> repeated;
    for (size_t i = 1; i < ids.size(); ++i)
      if (ids[i] == ids[i - 1] && (repeated.empty() || repeated.back() != printable(ids[i])))
        repeated.push_back(printable(ids[i]));
    if (!repeated.empty())
      throw Error(ErrorCode::malformed, "names that stand more than once: " + std::to_string(repeated.size()))
          .details(std::move(repeated));
    if (ids.empty()) throw Error(ErrorCode::malformed, "no name in this list");
    return ids;
  });
}

data::Split made_of(const SplitOptions& o) {
  if (o.official + o.by_hash + (o.folds != 0) > 1)
    throw Error(ErrorCode::usage, "--official, --by-hash and --folds exclude each other");
  if (o.draw < 1 || o.draw > 1000 || o.seed < 0)
    throw Error(ErrorCode::usage, "--draw is outside 1..1000, or --seed negative");
  refuse_existing(o.out, o.force);
  const auto seed = static_cast<uint64_t>(o.seed);
  const std::vector<std::string> ids = ids_of(o.names);
  if (o.official) return data::split_official(ids);
  if (o.by_hash) return data::split_by_hash(ids, o.val, o.test);
  if (o.folds != 0) return data::split_by_folds(ids, seed, o.folds, o.fold, o.test);
  return data::split_by_permutation(ids, seed, o.draw, o.val, o.test);
}

}  // namespace

int prepare_split(const SplitOptions& options, const cli::Common& common) {
  const data::Split split = made_of(options);
  data::write_split(options.out, split);
  const auto train = static_cast<int64_t>(split.train.size()), val = static_cast<int64_t>(split.val.size()),
             test = static_cast<int64_t>(split.test.size());
  if (common.json) {
    cli::JsonObject out;
    out.text("schema", "furrow.prepare.split/1").text("file", options.out).text("rule", split.rule);
    cli::print(out.number("train", train).number("val", val).number("test", test).str() + "\n");
    return 0;
  }
  cli::print((cli::Text() << printable(options.out, 400) << ": " << train << " train, " << val << " val, " << test
                          << " test (" << split.rule << ")\n")
                 .str());
  return 0;
}

}  // namespace furrow::apps
