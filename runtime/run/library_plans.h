// The plans of NVIDIA's libraries in a run: which engine or algorithm computes each convolution and
// product. They decide the bits: the ranks compare theirs, checkpoints keep them, and a resumed run
// on the same GPU and libraries takes them again. A run on the CPU has none.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/communication/communicator.h"
#include "runtime/run/device_choice.h"

namespace lockstep {

class LibraryPlans {
 public:
  // device: must outlive it.
  LibraryPlans(const DeviceChoice& device, Communicator& communicator)
      : device_(device), communicator_(communicator) {}

  // Before the libraries are asked anything: their answers, as a checkpoint has them.
  void take(const std::vector<LibraryPlan>& plans);

  // A collective: compares what the ranks chose, each question on those that asked it. Throws
  // AgreedError, naming the question and two ranks, where choices differ. Returns whether there
  // were new ones.
  bool agree();

  // All that the ranks chose: by question, in one file, and its digest, with the libraries'
  // versions.
  std::vector<LibraryPlan> plans() const;
  void write(const std::string& file) const;
  std::string digest() const;

 private:
  const DeviceChoice& device_;
  Communicator& communicator_;
  std::map<std::string, std::string> choices_;  // of all ranks, by question
};

std::string plans_digest(const std::string& libraries, const std::vector<LibraryPlan>& plans);

// Questions that were answered otherwise then than now, the first few of them by name; "" where
// none was.
std::string changed_plans(const std::vector<LibraryPlan>& then,
                          const std::vector<LibraryPlan>& now);

}  // namespace lockstep
