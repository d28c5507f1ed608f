// The pages that Google Drive sends in place of a file. No OAuth, no API key, no cookies: files that anyone may open.
#pragma once

#include <string>
#include <string_view>

#include "kernels/error.h"

namespace furrow::apps {

// https://drive.google.com/uc?..., or an address of that shape on this machine.
bool is_drive(const std::string& url);

// Of the page that asks whether a file too large for the virus scan is wanted: the address that its form leads to,
// which must be drive.usercontent.google.com (on this machine: /download of the same server) and ask for the id of
// `url`.
// "" where the page is none, or is not understood.
std::string confirmed_address(std::string_view page, const std::string& url);

// What such a page says, as an error: the quota is used up, a login is wanted, or another page.
Error page_error(std::string_view page);

}  // namespace furrow::apps
