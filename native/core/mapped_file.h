// MappedFile: a read-only file, memory-mapped and also readable by offset. Untrusted: every access is checked.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "core/status.h"

namespace espalier {

class MappedFile {
 public:
  // A regular file with at least one byte. ERR_FILE_OPEN.
  static Status open(const std::string& path, std::shared_ptr<const MappedFile>* out);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // when it was opened

  // The mapping, [size()] bytes, page-aligned. Touching a page of a file that has since been cut short raises SIGBUS:
  // call check() first, or use read().
  const uint8_t* data() const { return data_; }

  // ERR_FILE_TRUNCATED unless bytes [offset, offset + bytes) are inside the file now, not only when it was opened.
  Status check(uint64_t offset, uint64_t bytes) const;

  // Copies bytes [offset, offset + bytes) to out without touching the mapping, so a file that shrinks meanwhile gives
  // ERR_FILE_TRUNCATED and a failing disk ERR_FILE_READ, never a signal. Safe to call from many threads.
  Status read(uint64_t offset, uint64_t bytes, void* out) const;

 private:
  MappedFile(std::string path, int descriptor, uint64_t size, const uint8_t* data)
      : path_(std::move(path)), descriptor_(descriptor), size_(size), data_(data) {}
  Status truncated(uint64_t offset, uint64_t bytes, uint64_t found) const;

  std::string path_;
  int descriptor_;
  uint64_t size_;
  const uint8_t* data_;
};

}  // namespace espalier
