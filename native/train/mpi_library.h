// MpiLibrary: the few entry points of Open MPI's libmpi that espalier uses, found by name at run time. No MPI header is
// needed to build; the types below are Open MPI's (handles are pointers to its global objects).
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/status.h"

namespace espalier {

using MpiHandle = void*;  // MPI_Comm, MPI_Datatype, MPI_Op, MPI_Request, MPI_Errhandler

struct MpiLibrary {
  MpiHandle world, type_float, type_double, type_byte, op_sum, errors_return;

  int (*init_thread)(int* argc, char*** argv, int required, int* provided);
  int (*initialized)(int* flag);
  int (*finalize)();
  int (*comm_rank)(MpiHandle comm, int* rank);
  int (*comm_size)(MpiHandle comm, int* size);
  int (*comm_set_errhandler)(MpiHandle comm, MpiHandle handler);
  int (*error_string)(int code, char* text, int* length);
  int (*allreduce)(const void* send, void* receive, int count, MpiHandle type, MpiHandle op, MpiHandle comm);
  int (*iallreduce)(const void* send, void* receive, int count, MpiHandle type, MpiHandle op, MpiHandle comm,
                    MpiHandle* request);
  int (*broadcast)(void* buffer, int count, MpiHandle type, int root, MpiHandle comm);
  int (*testall)(int count, MpiHandle* requests, int* flag, void* statuses);
  int (*waitall)(int count, MpiHandle* requests, void* statuses);
};

constexpr int kMpiThreadSerialized = 2;

inline void* mpi_in_place() { return reinterpret_cast<void*>(1); }
inline void* mpi_statuses_ignore() { return nullptr; }

// Opens ESPALIER_MPI_LIBRARY, or libmpi.so.40 (Open MPI 2 to 5), and resolves every entry. ERR_MPI.
Status load_mpi_library(MpiLibrary* out);

}  // namespace espalier
