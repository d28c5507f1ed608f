// Photos and masks of two folders that belong together, and every reason why some do not.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/masks.h"
#include "io/limits.h"
#include "kernels/threads.h"

namespace furrow::data {

// The files of one example. `mask` and `texture` are "" where no such folder was named.
struct PairFiles {
  std::string id;  // the stem they share
  std::string image, mask, texture;
};

// What a file's stem is: "a.b.png" -> "a.b", or "a" as the seed has it (seed-system.md C.1).
enum class Stem : uint8_t { whole, first_dot };

// What happens to a finding: an error, a warning, or nothing.
enum class Policy : uint8_t { refuse, warn, accept };

// How closely the files are looked at before training begins; each level includes the one above it.
enum class PairCheck : uint8_t {
  names,    // names alone
  headers,  // size and orientation, from the first bytes of every file
  masks,    // every mask is decoded, its values counted
  all,      // every photo and texture map is decoded too
};

struct PairOptions {
  // Folders. masks "": there are none, and every photo is an example (its target is computed). textures "": none
  // either.
  std::string images, masks, textures;
  MaskRule rule;
  Stem stem = Stem::whole;
  PairCheck check = PairCheck::headers;
  Policy photo_without_mask = Policy::refuse;  // FFHQ has 70,000 photos for 1,000 masks: then `accept`
  Policy mask_without_photo = Policy::refuse;  // also: pair without a texture map
  Policy other_size = Policy::refuse;          // mask or texture map is the photo's at another scale; such a pair stays
  Policy strange_value = Policy::refuse;       // mask values that the rule does not name; such a pair is left out
  // Picture of a kind that is not read (BMP, TIFF ...), unsearched folder, and under a picture's name a link to
  // nothing, a pipe, a socket, a device.
  Policy unread_file = Policy::warn;
  io::Limits limits;
};

struct Pairing {
  std::vector<PairFiles> pairs;       // bytewise by id
  std::vector<std::string> warnings;  // one line per finding whose policy is `warn`
  // From PairCheck::masks on: pixels per target value (0 and 255, or class numbers), and masks all of whose target is
  // 0.
  std::array<uint64_t, 256> target_pixels{};
  int64_t empty_masks = 0;
};

// Finds the pairs. Files are .png, .jpg and .jpeg in any case, in the folder itself and in subfolders named like FFHQ's
// thousands (00000 .. 69000: five digits of which the last three are 0), on any side. So the layouts of the seed
// (masked_face_images/00001.png with manual_wrinkle_masks/00001.png), of FFHQ (images1024x1024/00000/00001.png) and of
// FFHQ-Wrinkle (weak_wrinkle_masks/00000/00001.png) are found as they are. Hidden files are passed over.
//
// Errors: everything whose policy is `refuse`, and always: two files of one stem in one folder, files that cannot be
// read, photos that EXIF turns (a mask does not say whether it was drawn on the turned photo), a folder without a
// picture, masks whose sides have other proportions than their photo's, one folder for both, no pair at all. They come
// together as one ErrorCode::malformed with a line per finding, in order of stems. ErrorCode::io where a folder cannot
// be listed. Files are looked at in parallel on `pool`, where there is one.
Pairing find_pairs(const PairOptions& options, ThreadPool* pool = nullptr);

}  // namespace furrow::data
