// Merges the many overlapping windows that the cascade answers around each face into one box.
#pragma once

#include <vector>

namespace furrow {

// A box in whole pixels, with the last stage's sum of votes.
struct Candidate {
  int x, y, w, h;
  float score;
};

struct CandidateGroup {
  int x, y, w, h;  // mean of the members, rounded half to even
  int members;
  float score;  // largest of the members' scores
};

// OpenCV's groupRectangles (4.6): two boxes are alike where all four edges lie within eps * (mean of the smaller width
// and the smaller height) of each other; alike boxes, and boxes alike to a common third, form a group. Groups of at
// most `threshold` members are dropped, and so are those inside a bigger group (edges within eps of that one's side).
// Groups come in the order of their first members.
// Boxes that are alike are near each other, so candidates are compared within a moving range of x: O(n * neighbours).
std::vector<CandidateGroup> group_candidates(const std::vector<Candidate>& candidates, int threshold, double eps = 0.2);

}  // namespace furrow
