// LogFile: a file that only grows, by whole entries, and can be taken back to an earlier length.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace furrow::train {

// Every entry reaches the system before append() returns, so a killed process loses none; sync() makes them survive a
// power cut. An entry that does not fit (full disk) is taken back and counted, so that the file always ends with a
// whole one: training is worth more than its log.
class LogFile {
 public:
  // Creates the file where there is none. ErrorCode::io where it cannot be opened.
  explicit LogFile(const std::string& path);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // False where the entry was lost; lost() counts them and error() has the system's words.
  bool append(std::string_view entry);
  bool sync();

  uint64_t bytes() const { return bytes_; }
  int64_t lost() const { return lost_; }
  const std::string& error() const { return error_; }
  const std::string& path() const { return path_; }

  // Cuts the file to its first `bytes`, what it held when a checkpoint was saved. False where it holds fewer (then it
  // stays as it is). ErrorCode::io.
  bool cut_to(uint64_t bytes);

 private:
  std::string path_, error_;
  int fd_ = -1;
  uint64_t bytes_ = 0;
  int64_t lost_ = 0;
};

}  // namespace furrow::train
