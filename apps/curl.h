// One request by the system's `curl`, started by argument vector (never a shell) and watched while it runs.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace furrow::apps {

struct Request {
  std::string url;        // https; http of this machine alone
  std::string to;         // file of the body
  std::string headers;    // file of the header lines, those of redirects too
  std::string since;      // goes on from the bytes in `to` if what this validator (If-Range) names is unchanged
  bool resume = false;    // goes on from the bytes in `to`
  uint64_t most = 0;      // of the whole file, in bytes; it is ended beyond
  int stall_s = 60;       // a transfer below 1000 bytes a second for so long is given up
  bool progress = false;  // a bar on standard error, where that is a terminal
  int lock = -1;  // a descriptor that curl keeps open: a lock is held until it has ended, should this process die
};

// What a header file says of the last answer in it.
struct Head {
  int status = 0;                             // 0: none
  std::map<std::string, std::string> fields;  // names in lower case
  std::string field(const char* name) const;  // "" where it is not there
  std::string validator() const;              // a strong ETag, else Last-Modified, printable; else ""
  // Of the whole file: from Content-Length, or of 206 and 416 from Content-Range. 0: not said, or not understood.
  uint64_t total() const;
};
Head read_head(const std::string& path);

struct Answer {
  int curl = 0;           // its exit status
  bool too_long = false;  // ended because of `most`
  Head head;
  bool ok() const { return curl == 0 && !too_long; }
  bool over() const;         // more than `most` came, or was announced
  bool passing() const;      // of the kind that may be gone at the next try
  std::string what() const;  // the failure in words
};

// Errors: ErrorCode::io where curl cannot be started. A signal ends curl; the bytes so far stay.
Answer ask(const Request& request);

// http://127.0.0.1:PORT/, localhost or ::1: the only addresses that may be without TLS; they may redirect to such.
bool is_loopback(const std::string& url);

}  // namespace furrow::apps
