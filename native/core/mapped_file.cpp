// SPDX-License-Identifier: Apache-2.0
#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace espalier {
namespace {

constexpr uint64_t kLargestRead = 1u << 30;  // one pread; Linux gives at most 2 GiB at a time

Status open_error(const std::string& path, const std::string& reason) {
  return Status("ERR_FILE_OPEN", path + ": " + reason);
}

}  // namespace

Status MappedFile::open(const std::string& path, std::shared_ptr<const MappedFile>* out) {
  if (path.find('\0') != std::string::npos) return open_error(path, "the path has a zero byte");
  // O_NONBLOCK: opening a named pipe must not wait for its writer.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return open_error(path, std::strerror(errno));
  struct stat info;
  std::string reason;
  void* data = MAP_FAILED;
  if (::fstat(descriptor, &info) != 0) {
    reason = std::strerror(errno);
  } else if (!S_ISREG(info.st_mode)) {
    reason = "expected a regular file, found something else";
  } else if (info.st_size <= 0) {
    reason = "the file is empty";
  } else {
    data = ::mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_SHARED, descriptor, 0);
    if (data == MAP_FAILED) reason = format_text("cannot be mapped: %s", std::strerror(errno));
#if defined(MADV_HUGEPAGE)
    // Huge pages where the page cache has or will read such: small ones cost three quarters of the read bandwidth in a
    // virtual machine. A hint: kernels and file systems that cannot go on as before.
    if (data != MAP_FAILED) ::madvise(data, static_cast<size_t>(info.st_size), MADV_HUGEPAGE);
#endif
  }
  if (!reason.empty()) {
    ::close(descriptor);
    return open_error(path, reason);
  }
  out->reset(new MappedFile(path, descriptor, static_cast<uint64_t>(info.st_size), static_cast<uint8_t*>(data)));
  return Status::ok();
}

MappedFile::~MappedFile() {
  ::munmap(const_cast<uint8_t*>(data_), static_cast<size_t>(size_));
  ::close(descriptor_);
}

Status MappedFile::truncated(uint64_t offset, uint64_t bytes, uint64_t found) const {
  return Status("ERR_FILE_TRUNCATED",
                format_text("%s: bytes %llu to %llu were expected, the file has %llu", path_.c_str(),
                            static_cast<unsigned long long>(offset), static_cast<unsigned long long>(offset + bytes),
                            static_cast<unsigned long long>(found)));
}

Status MappedFile::check(uint64_t offset, uint64_t bytes) const {
  struct stat info;
  if (::fstat(descriptor_, &info) != 0) return Status("ERR_FILE_READ", path_ + ": " + std::strerror(errno));
  const uint64_t now = info.st_size < 0 ? 0 : static_cast<uint64_t>(info.st_size);
  const uint64_t size = now < size_ ? now : size_;
  if (offset > size || bytes > size - offset) return truncated(offset, bytes, size);
  return Status::ok();
}

Status MappedFile::read(uint64_t offset, uint64_t bytes, void* out) const {
  if (offset > size_ || bytes > size_ - offset) return truncated(offset, bytes, size_);
  char* target = static_cast<char*>(out);
  uint64_t done = 0;
  while (done < bytes) {
    const uint64_t wanted = bytes - done < kLargestRead ? bytes - done : kLargestRead;
    const ssize_t got = ::pread(descriptor_, target + done, static_cast<size_t>(wanted), offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status("ERR_FILE_READ", path_ + ": " + std::strerror(errno));
    if (got == 0) return truncated(offset, bytes, offset + done);
    done += static_cast<uint64_t>(got);
  }
  return Status::ok();
}

}  // namespace espalier
