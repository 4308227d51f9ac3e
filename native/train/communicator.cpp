// SPDX-License-Identifier: Apache-2.0
#include "train/communicator.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "train/mpi_library.h"

namespace espalier {
namespace {

constexpr int64_t kMostElements = int64_t{1} << 28;  // of one call: MPI counts are int

class MpiCommunicator : public Communicator {
 public:
  Status start() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ESP_RETURN_IF_ERROR(load_mpi_library(&mpi_));
    int initialized = 0, provided = 0;
    ESP_RETURN_IF_ERROR(check(mpi_.initialized(&initialized), "MPI_Initialized"));
    if (!initialized)
      ESP_RETURN_IF_ERROR(check(mpi_.init_thread(nullptr, nullptr, kMpiThreadSerialized, &provided), "MPI_Init"));
    if (!initialized && provided < kMpiThreadSerialized)
      return Status("ERR_MPI", format_text("thread level: expected MPI_THREAD_SERIALIZED (%d), the library gives %d",
                                           kMpiThreadSerialized, provided));
    ESP_RETURN_IF_ERROR(check(mpi_.comm_set_errhandler(mpi_.world, mpi_.errors_return), "MPI_Comm_set_errhandler"));
    ESP_RETURN_IF_ERROR(check(mpi_.comm_rank(mpi_.world, &rank_), "MPI_Comm_rank"));
    return check(mpi_.comm_size(mpi_.world, &size_), "MPI_Comm_size");
  }

  void finish() {
    const std::lock_guard<std::mutex> lock(mutex_);
    mpi_.finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  Status sum(double* values, int64_t count) override { return sum_of(values, count, mpi_.type_double); }
  Status sum(float* values, int64_t count) override { return sum_of(values, count, mpi_.type_float); }

  Status broadcast(void* bytes, int64_t count) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return in_pieces(count, [&](int64_t begin, int piece) {
      return check(mpi_.broadcast(static_cast<char*>(bytes) + begin, piece, mpi_.type_byte, 0, mpi_.world),
                   "MPI_Bcast");
    });
  }

  Status start_sum(float* values, int64_t count) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return in_pieces(count, [&](int64_t begin, int piece) {
      requests_.push_back(nullptr);
      return check(mpi_.iallreduce(mpi_in_place(), values + begin, piece, mpi_.type_float, mpi_.op_sum, mpi_.world,
                                   &requests_.back()),
                   "MPI_Iallreduce");
    });
  }

  Status progress() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (requests_.empty()) return Status::ok();
    int done = 0;
    return check(mpi_.testall(static_cast<int>(requests_.size()), requests_.data(), &done, mpi_statuses_ignore()),
                 "MPI_Testall");
  }

  Status wait() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Status status =
        check(mpi_.waitall(static_cast<int>(requests_.size()), requests_.data(), mpi_statuses_ignore()), "MPI_Waitall");
    requests_.clear();
    return status;
  }

 private:
  template <typename T>
  Status sum_of(T* values, int64_t count, MpiHandle type) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return in_pieces(count, [&](int64_t begin, int piece) {
      return check(mpi_.allreduce(mpi_in_place(), values + begin, piece, type, mpi_.op_sum, mpi_.world),
                   "MPI_Allreduce");
    });
  }

  template <typename F>
  static Status in_pieces(int64_t count, F&& call) {
    for (int64_t begin = 0; begin < count; begin += kMostElements)
      ESP_RETURN_IF_ERROR(call(begin, static_cast<int>(std::min(kMostElements, count - begin))));
    return Status::ok();
  }

  Status check(int code, const char* call) const {
    if (code == 0) return Status::ok();
    char text[1024] = "";
    int length = 0;
    mpi_.error_string(code, text, &length);
    return Status("ERR_MPI", format_text("%s: error %d: %s", call, code, text));
  }

  MpiLibrary mpi_{};
  std::mutex mutex_;
  std::vector<MpiHandle> requests_;
  int rank_ = 0, size_ = 1;
};

// MPI joins and leaves a run once in a process, whoever asks.
std::mutex g_mutex;
std::shared_ptr<MpiCommunicator> g_communicator;
bool g_closed = false;

}  // namespace

bool started_by_mpi() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"})
    if (std::getenv(name) != nullptr) return true;
  return false;
}

Status open_mpi(std::shared_ptr<Communicator>* out) {
  const std::lock_guard<std::mutex> lock(g_mutex);
  if (g_closed) return Status("ERR_MPI", "this process has left the run already; MPI cannot join one again");
  if (g_communicator == nullptr) {
    auto fresh = std::make_shared<MpiCommunicator>();
    ESP_RETURN_IF_ERROR(fresh->start());
    g_communicator = fresh;
  }
  *out = g_communicator;
  return Status::ok();
}

void close_mpi() {
  const std::lock_guard<std::mutex> lock(g_mutex);
  if (g_communicator == nullptr) return;
  g_communicator->finish();
  g_communicator.reset();
  g_closed = true;
}

}  // namespace espalier
