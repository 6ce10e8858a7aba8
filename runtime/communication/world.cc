#include "runtime/communication/world.h"

#include <sys/prctl.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>

#include "runtime/communication/mpi_communicator.h"
#include "runtime/communication/mpi_link.h"

namespace lockstep {

namespace {

// What a rank without a message of its own leaves the failed one to print and to end the job.
constexpr auto kLastWords = std::chrono::seconds(2);

}  // namespace

World::World(int* argc, char*** argv) : exceptions_at_start_(std::uncaught_exceptions()) {
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_FUNNELED)
    throw Error(
        "{} offers no MPI_THREAD_FUNNELED, which worker threads need: use a build of MPI "
        "with thread support",
        library_version());
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  // A file beyond the size limit (ulimit -f) shall be an error with a message, not a signal.
  std::signal(SIGXFSZ, SIG_IGN);
  // When mpirun is gone, nobody would end its ranks. SIGTERM lets a training save what it has.
  if (std::getenv("OMPI_COMM_WORLD_RANK") != nullptr) prctl(PR_SET_PDEATHSIG, SIGTERM);
}

World::~World() {
  // MPI_Finalize waits for all ranks; those that still compute would never come.
  if (std::uncaught_exceptions() <= exceptions_at_start_) MPI_Finalize();
}

int World::rank() const {
  int rank = 0;
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  return rank;
}

int World::size() const {
  int size = 0;
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");
  return size;
}

std::unique_ptr<Communicator> World::make_communicator(const Placement& placement) {
  return make_mpi_communicator(placement);
}

void World::abort(const std::string& message, int exit_code) {
  if (message.empty()) {
    std::this_thread::sleep_for(kLastWords);
  } else {
    fmt::print(stderr, "{}\n", message);
    std::fflush(stderr);
  }
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

std::string World::library_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  check_mpi(MPI_Get_library_version(text, &length), "MPI_Get_library_version");
  std::string version(text, static_cast<std::size_t>(length));  // "Open MPI v4.1.4, package: ..."
  version.resize(std::min(version.find_first_of(",\n"), version.size()));
  if (const std::size_t v = version.find(" v"); v != std::string::npos) version.erase(v + 1, 1);
  return version;
}

}  // namespace lockstep
