// A picture in a terminal: two pixels per character cell, or plain letters where colour is off.
#pragma once

#include <string>

#include "io/image.h"

namespace furrow {

enum class PreviewColour {
  truecolour,  // 24-bit SGR (ISO 8613-6): 38;2;r;g;b and 48;2;r;g;b
  indexed,     // the 6x6x6 cube and the gray ramp of xterm's 256 colours
  none,        // ASCII, one character per cell, " .:-=+*#%@" from dark to light; no escape sequences
};

// `picture` (gray or RGB) reduced to `columns` cells (1 .. 400) by averaging, its aspect kept for cells twice as high
// as wide. Rows end in a newline and, in colour, in a reset. UTF-8 (half block, U+2580) in colour. Empty for an empty
// picture. Throws ErrorCode::internal for other channel or column counts.
std::string terminal_preview(const io::Image& picture, int columns, PreviewColour colour = PreviewColour::truecolour);

}  // namespace furrow
