#include "apps/drive.h"

#include "apps/curl.h"

namespace furrow::apps {
namespace {

constexpr std::string_view kDrive = "https://drive.google.com";
constexpr size_t kLongestValue = 200;

bool holds_only(std::string_view text, std::string_view more) {
  for (const char c : text)
    if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
        more.find(c) == std::string_view::npos)
      return false;
  return !text.empty() && text.size() <= kLongestValue;
}

// "http://127.0.0.1:80" of "http://127.0.0.1:80/uc?id=1".
std::string_view server_of(std::string_view url) { return url.substr(0, url.find('/', url.find("//") + 2)); }

std::string_view id_of(std::string_view url) {
  for (const char* before : {"?id=", "&id="})
    if (const size_t at = url.find(before); at != std::string_view::npos)
      return url.substr(at + 4, url.find('&', at + 4) - (at + 4));
  return {};
}

// The value of an attribute within a tag, in double quotes as Drive writes them.
std::string_view attribute(std::string_view tag, const std::string& name) {
  const std::string before = " " + name + "=\"";
  const size_t at = tag.find(before);
  if (at == std::string_view::npos) return {};
  const size_t begin = at + before.size(), end = tag.find('"', begin);
  return end == std::string_view::npos ? std::string_view() : tag.substr(begin, end - begin);
}

// What stands between `begin` and the first `end` behind it.
std::string_view between(std::string_view text, size_t begin, std::string_view end) {
  const size_t stop = text.find(end, begin);
  return stop == std::string_view::npos ? std::string_view() : text.substr(begin, stop - begin);
}

}  // namespace

bool is_drive(const std::string& url) {
  const std::string_view server = server_of(url);
  return (server == kDrive || is_loopback(url)) && std::string_view(url).substr(server.size()).starts_with("/uc?");
}

std::string confirmed_address(std::string_view page, const std::string& url) {
  const size_t mark = page.find("id=\"download-form\"");
  const size_t begin = mark == std::string_view::npos ? mark : page.rfind("<form", mark);
  if (begin == std::string_view::npos) return {};
  const std::string wanted =
      is_loopback(url) ? std::string(server_of(url)) + "/download" : "https://drive.usercontent.google.com/download";
  if (attribute(between(page, begin, ">"), "action") != wanted) return {};
  const std::string_view form = between(page, begin, "</form>");
  std::string address = wanted;
  bool asks_for_it = false;
  for (size_t at = form.find("<input"); at != std::string_view::npos; at = form.find("<input", at + 1)) {
    const std::string_view tag = between(form, at, ">"), name = attribute(tag, "name"), value = attribute(tag, "value");
    if (attribute(tag, "type") != "hidden") continue;
    if (!holds_only(name, "_") || !holds_only(value, "_-.:")) return {};
    asks_for_it = asks_for_it || (name == "id" && value == id_of(url));
    address.append(address.size() == wanted.size() ? "?" : "&").append(name).append("=").append(value);
  }
  return asks_for_it ? address : std::string();
}

Error page_error(std::string_view page) {
  const auto says = [&](const char* words) { return page.find(words) != std::string_view::npos; };
  if (says("Quota exceeded") || says("Too many users have viewed or downloaded"))
    return Error(ErrorCode::io, "Google Drive's download quota of this file is used up; try again tomorrow");
  if (says("You need access") || says("ServiceLogin"))
    return Error(ErrorCode::io, "the server asks for a login, and Furrow does none (no OAuth)");
  return Error(ErrorCode::io, "the server sent a web page instead of the file");
}

}  // namespace furrow::apps
