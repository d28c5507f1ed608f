// What records of every kind do alike: shards added up, and counting that goes on after a part of one.
#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli/report.h"
#include "apps/evaluate/record.h"
#include "apps/evaluate/shard.h"
#include "kernels/error.h"

namespace furrow::apps {

// Adds shards to the record of the whole: rows and failures by id; `add(whole, part)` adds what else the kind counts,
// in the order of shards. ErrorCode::usage as check_same(first, shard) throws it, and where the shards are not all of
// one evaluation, each once, with every picture in just one of them.
template <class Kind, class CheckSame, class Add>
Kind merge_shards(std::vector<Kind> shards, CheckSame check_same, Add add) {
  require(!shards.empty(), "merge_records: shards");
  std::ranges::sort(shards, {}, &Kind::shard);
  std::vector<int> present;
  for (const Kind& shard : shards) check_same(shards.front(), shard), present.push_back(shard.shard);
  check_complete(present, shards.front().shards);
  Kind whole = std::move(shards.front());
  for (size_t i = 1; i < shards.size(); ++i) {
    std::ranges::move(shards[i].rows, std::back_inserter(whole.rows));
    std::ranges::move(shards[i].failures, std::back_inserter(whole.failures));
    add(whole, shards[i]);
  }
  std::vector<std::string> ids;
  for (const auto& row : whole.rows) ids.push_back(row.id);
  for (const Failure& failure : whole.failures) ids.push_back(failure.id);
  check_pictures(whole.settings, std::move(ids));
  whole.shard = whole.shards = 1;
  whole.contents.clear();
  sort_rows(whole);
  return whole;
}

// Exchanges `record` for the part of it that an earlier process counted, where one is there, and says so. `read` takes
// its path. Returns how many of the pictures are counted: they come in order, each to the rows or to the failures.
template <class Kind, class Read>
size_t go_on(const PartKeeper& keeper, const cli::Common& common, size_t pictures, Read read, Kind& record) {
  const bool restored = keeper.restore([&](const std::string& path) {
    Kind found = read(path);
    if (!same_shard(found, record) || found.contents != record.contents) return false;
    record = std::move(found);
    return true;
  });
  const size_t counted = record.rows.size() + record.failures.size();
  if (restored)
    cli::note(common, "goes on after " + std::to_string(counted) + " of " + std::to_string(pictures) + " pictures");
  return counted;
}

}  // namespace furrow::apps
