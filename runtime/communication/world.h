// World: the MPI session of this process, begun in main() and ended when it leaves scope. Worker
// threads never call MPI (MPI_THREAD_FUNNELED); their exceptions travel through the main thread.
#pragma once

#include <memory>
#include <string>

#include "runtime/communication/communicator.h"

namespace lockstep {

enum class Transport {
  kAuto,      // one shared segment inside a node; messages between nodes, by one rank of each
  kMessages,  // messages between all ranks, as if each sat on a node of its own
};

struct Placement {
  Transport transport = Transport::kAuto;
  int ranks_per_node =
      0;  // every so many ranks of a node as if on one of their own; 0: as they sit
};

class World {
 public:
  World(int* argc, char*** argv);
  ~World();  // MPI_Finalize, unless the stack unwinds for an exception
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  int rank() const;
  int size() const;
  // Throws Error when ranks disagree; says in description() why a segment could not be had.
  std::unique_ptr<Communicator> make_communicator(const Placement& placement);
  // Ends every rank of the job within seconds, after printing `message` to stderr. An empty message
  // is for a rank that ends because of another: it leaves that one the time to print its own.
  [[noreturn]] void abort(const std::string& message, int exit_code);

  static std::string library_version();  // "Open MPI 4.1.4"

 private:
  int exceptions_at_start_;
};

}  // namespace lockstep
