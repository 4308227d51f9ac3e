// SPDX-License-Identifier: Apache-2.0
#include "train/mpi_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string>

namespace espalier {
namespace {

constexpr const char* kName = "libmpi.so.40";
constexpr const char* kHint =
    "Install Open MPI (Debian: apt-get install openmpi-bin), or name its libmpi in ESPALIER_MPI_LIBRARY.";

struct Entry {
  const char* symbol;
  void* place;  // of the pointer to fill
};

}  // namespace

Status load_mpi_library(MpiLibrary* out) {
  const char* wanted = std::getenv("ESPALIER_MPI_LIBRARY");
  const std::string name = wanted != nullptr && *wanted != '\0' ? wanted : kName;
  // Global: Open MPI's own plugins look their symbols up in it.
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) return Status("ERR_MPI", std::string("cannot be opened: ") + dlerror(), kHint);
  const Entry entries[] = {
      {"ompi_mpi_comm_world", &out->world},     {"ompi_mpi_float", &out->type_float},
      {"ompi_mpi_double", &out->type_double},   {"ompi_mpi_byte", &out->type_byte},
      {"ompi_mpi_op_sum", &out->op_sum},        {"ompi_mpi_errors_return", &out->errors_return},
      {"MPI_Init_thread", &out->init_thread},   {"MPI_Initialized", &out->initialized},
      {"MPI_Finalize", &out->finalize},         {"MPI_Comm_rank", &out->comm_rank},
      {"MPI_Comm_size", &out->comm_size},       {"MPI_Comm_set_errhandler", &out->comm_set_errhandler},
      {"MPI_Error_string", &out->error_string}, {"MPI_Allreduce", &out->allreduce},
      {"MPI_Iallreduce", &out->iallreduce},     {"MPI_Bcast", &out->broadcast},
      {"MPI_Testall", &out->testall},           {"MPI_Waitall", &out->waitall},
  };
  for (const Entry& entry : entries) {
    void* address = dlsym(library, entry.symbol);
    if (address == nullptr)
      return Status("ERR_MPI", name + ": expected Open MPI's library, found none of its " + entry.symbol, kHint);
    *static_cast<void**>(entry.place) = address;
  }
  return Status::ok();
}

}  // namespace espalier
