// The one error type of Furrow and its contract: a code, a place, a reason, a hint, all on one line.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace furrow {

// Exit status of the program for each kind of error (docs/errors.md). `interrupted` is not an error.
enum class ErrorCode : int {
  internal = 1,       // a bug in Furrow
  usage = 2,          // command line
  configuration = 3,  // configuration file
  malformed = 4,      // the file breaks its own format
  unsupported = 5,    // well-formed, but not something Furrow reads
  limit = 6,          // over a limit (`furrow --limits`)
  io = 7,             // the operating system refused: full, denied, failing
  device = 8,         // no such device, out of device memory, device lost
  checksum = 9,       // stored and computed checksum differ
  no_face = 10,       // no usable face in any input
  different = 11,     // compared, and different
};

// Short stable name printed in `error[NAME]`, e.g. "malformed".
std::string_view name(ErrorCode code);

// Makes hostile text safe to print: control characters, newlines, escape sequences and invalid UTF-8 become \xNN;
// at most `max_bytes` bytes are kept (then "..." follows).
std::string printable(std::string_view text, size_t max_bytes = 120);

// Thrown for every failure a caller may want to report. Reads as
//   error[CODE]: FILE: at byte OFFSET (ENTRY): reason; limit L, found F; hint
// where absent parts are left out. Build it fluently:
//   throw Error(ErrorCode::malformed, "the record is cut").at(offset).in("data/3");
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string reason) : code_(code), reason_(std::move(reason)) {}

  Error&& at(uint64_t byte) && { byte_ = byte; return std::move(*this); }
  Error&& in(std::string_view entry) && { entry_ = printable(entry); return std::move(*this); }
  Error&& limit(uint64_t limit, uint64_t found) && { limit_ = {limit, found}; return std::move(*this); }
  Error&& hint(std::string text) && { hint_ = std::move(text); return std::move(*this); }
  Error&& file(std::string_view path) && { set_file(path); return std::move(*this); }
  // Further lines of a list error (all missing keys, say); the program prints the first 18, `--json` prints all.
  Error&& details(std::vector<std::string> lines) && { details_ = std::move(lines); return std::move(*this); }

  // Names the file, unless an inner layer already did.
  void set_file(std::string_view path);
  // Says where in the file: what an inner layer did not say already.
  void set_place(uint64_t byte, std::string_view entry);

  ErrorCode code() const { return code_; }
  const std::string& reason() const { return reason_; }
  const std::string& file_name() const { return file_; }
  const std::vector<std::string>& detail_lines() const { return details_; }
  std::optional<uint64_t> byte() const { return byte_; }
  struct Limit { uint64_t limit, found; };
  std::optional<Limit> limit_and_found() const { return limit_; }
  const std::string& entry() const { return entry_; }
  const std::string& hint_text() const { return hint_; }

  // The whole line, at most 500 bytes, without a newline.
  std::string line() const;
  const char* what() const noexcept override;

 private:
  ErrorCode code_;
  std::string reason_, file_, entry_, hint_;
  std::optional<uint64_t> byte_;
  std::optional<Limit> limit_;
  std::vector<std::string> details_;
  mutable std::string line_;
};

// A device that this process cannot use any more: whatever follows fails too, so work ends here.
class DeviceLost : public Error {
 public:
  explicit DeviceLost(Error error) : Error(std::move(error)) {}
};

// Throws ErrorCode::internal with the place of the call when a caller breaks a precondition. Never used on input.
void require(bool condition, const char* text, const char* file = __builtin_FILE(), int line = __builtin_LINE());

// Runs `body`; an Error that leaves it without a file name is given `path`.
template <class Body>
auto with_file(std::string_view path, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (Error& error) {
    error.set_file(path);
    throw;
  }
}

// Runs `body`; an Error that leaves it without a byte or an entry is given these: arithmetic on sizes that a file
// states (kernels/checked.h) knows what went wrong, its caller knows where the sizes stand.
template <class Body>
auto with_place(uint64_t byte, std::string_view entry, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (Error& error) {
    error.set_place(byte, entry);
    throw;
  }
}

}  // namespace furrow
