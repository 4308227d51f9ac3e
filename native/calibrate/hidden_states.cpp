// SPDX-License-Identifier: Apache-2.0
#include "calibrate/hidden_states.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/mapped_file.h"

namespace espalier {
namespace {

constexpr size_t kLargestWrite = size_t{1} << 30;

Status write_error(const std::string& path, int error) {
  return Status("ERR_FILE_WRITE", path + ": " + std::strerror(error));
}

Status write_all(int descriptor, const char* data, size_t bytes, const std::string& path) {
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor, data, std::min(bytes, kLargestWrite));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return write_error(path, errno);
    data += written;
    bytes -= static_cast<size_t>(written);
  }
  return Status::ok();
}

}  // namespace

HiddenStates::~HiddenStates() {
  if (mapped_) ::munmap(data_, static_cast<size_t>(count_) * sizeof(float));
}

Status HiddenStates::reserve(int64_t values, const std::string& path) {
  const size_t bytes = static_cast<size_t>(values) * sizeof(float);
  count_ = values;
  if (path.empty()) {
    ESP_RETURN_IF_ERROR(memory_.reserve(bytes));
    data_ = memory_.as<float>();
    return Status::ok();
  }
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return write_error(path, errno);
  ::unlink(path.c_str());
  const int error = ::posix_fallocate(descriptor, 0, static_cast<off_t>(bytes));  // no SIGBUS from a full disk later
  void* data = error != 0 ? MAP_FAILED : ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  const int map_error = errno;
  ::close(descriptor);
  if (error != 0) return write_error(path, error);
  if (data == MAP_FAILED) return write_error(path, map_error);
  data_ = static_cast<float*>(data);
  mapped_ = true;
  return Status::ok();
}

Status HiddenStates::save(const std::string& path) const {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return write_error(path, errno);
  const Status status =
      write_all(descriptor, reinterpret_cast<const char*>(data_), static_cast<size_t>(count_) * sizeof(float), path);
  if (::close(descriptor) != 0 && status.is_ok()) return write_error(path, errno);
  return status;
}

Status HiddenStates::load(const std::string& path) {
  std::shared_ptr<const MappedFile> file;
  ESP_RETURN_IF_ERROR(MappedFile::open(path, &file));
  const uint64_t bytes = static_cast<uint64_t>(count_) * sizeof(float);
  if (file->size() != bytes)
    return Status("ERR_FILE_TRUNCATED",
                  format_text("%s: expected %llu bytes, found %llu", path.c_str(),
                              static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(file->size())));
  return file->read(0, bytes, data_);
}

}  // namespace espalier
