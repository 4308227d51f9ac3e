// Communicator: the processes of a data-parallel run. MPI is opened at run time; without it there is one process.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "core/status.h"

namespace espalier {

// Calls may come from any thread, one at a time: each takes a lock. All ranks make the same calls in the same order.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // values [count], in place: the sum over all ranks, the same bits on each.
  virtual Status sum(double* values, int64_t count) = 0;
  virtual Status sum(float* values, int64_t count) = 0;
  // bytes [count]: those of rank 0.
  virtual Status broadcast(void* bytes, int64_t count) = 0;

  // Starts sum(values, count); `values` must stay until wait() and is undefined till then. `progress` moves what was
  // started along: Open MPI does so only inside its own calls.
  virtual Status start_sum(float* values, int64_t count) = 0;
  virtual Status progress() = 0;
  virtual Status wait() = 0;
};

// Whether mpirun or srun started this process as one of several.
bool started_by_mpi();

// Opens libmpi and joins the run: once in a process, on the thread that later closes it. ERR_MPI says what is missing.
Status open_mpi(std::shared_ptr<Communicator>* out);
// Waits for the other ranks and leaves the run; nothing may be under way. Does nothing when open_mpi was not called. A
// rank that fails ends without it: mpirun then ends the others.
void close_mpi();

}  // namespace espalier
