#include "apps/manifest.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "apps/fetch.h"
#include "io/sha256.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

TEST(Manifest, TheBuiltInOneHoldsThePublishedFilesOnce) {
  std::set<std::string> names;
  for (const PublishedFile& file : builtin_manifest()) {
    EXPECT_TRUE(names.insert(file.name).second) << file.name;
    EXPECT_FALSE(file.licence.empty()) << file.name;
    EXPECT_FALSE(file.citation.empty()) << file.name;
  }
  for (const char* name :
       {"seed-2025-02", "seed-2025-04", "seed-2026-08", "labhai-stage2-unet", "bisenet", "resnet50", "resnet18"})
    EXPECT_TRUE(names.contains(name)) << name;
  EXPECT_EQ(find_published(builtin_manifest(), "79999_iter.pth").size, 53289463u);
}

TEST(Manifest, SuggestsTheNameThatWasMeant) {
  const auto manifest = builtin_manifest();
  try {
    find_published(manifest, "bisenett");
    FAIL() << "found";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::usage);
    EXPECT_EQ(error.hint_text(), "did you mean bisenet?");
  }
}

TEST(Manifest, RefusesWhatIsNotOneNamingTheEntry) {
  const std::string entry = R"({"name":"n","file":"f","what":"w","origin":"o","licence":"l","citation":"c")";
  const auto whole = [](const std::string& files) {
    return R"({"schema":"furrow.weights/1","files":[)" + files + "]}";
  };
  EXPECT_EQ(parse_manifest(whole(entry + "}"), "m").size(), 1u);
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("{"), std::string(R"({"schema":5,"files":[]})"),
        std::string(R"({"schema":null,"files":[]})"), whole("1"), whole(R"({"name":"n"})"),
        whole(entry + R"(,"sha256":"12"})"), whole(entry + R"(,"size":-1})"), whole(entry + R"(,"size":1.5})"),
        whole(R"({"name":"n","file":"../f","what":"w","origin":"o","licence":"l","citation":"c"})")})
    EXPECT_THROW(parse_manifest(bad, "m"), Error) << bad;
}

TEST(Fetch, TakesALocalFileOnlyWhereItIsThePublishedOne) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("furrow-fetch-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::ofstream(folder / "mine") << "weights";
  const std::string text = "weights";
  PublishedFile known{
      .name = "n", .file = "kept.bin", .size = 7, .sha256 = io::sha256_hex(std::as_bytes(std::span(text)))};
  EXPECT_EQ(take_local(folder / "mine", known, folder / "new"), (folder / "new" / "kept.bin").string());
  EXPECT_EQ(verify_file(folder / "new" / "kept.bin", known), known.sha256);
  known.sha256[0] = known.sha256[0] == '0' ? '1' : '0';
  known.file = "other.bin";
  try {
    take_local(folder / "mine", known, folder / "new");
    ADD_FAILURE() << "taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::checksum);
  }
  EXPECT_FALSE(fs::exists(folder / "new" / "other.bin"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace furrow::apps
