// The plans of NVIDIA's libraries in a run: which engine or algorithm computes each convolution and
// product. They decide the bits: the ranks compare theirs, the run's folder keeps them, and a
// resumed run on the same GPU and libraries takes them again. A run on the CPU has none.
#pragma once

#include <map>
#include <string>

#include "runtime/communication/communicator.h"
#include "runtime/run/device_choice.h"

namespace lockstep {

class LibraryPlans {
 public:
  // device: must outlive it.
  LibraryPlans(const DeviceChoice& device, Communicator& communicator)
      : device_(device), communicator_(communicator) {}

  // A collective, before the first step: the choices in a file that write() left, read by rank 0;
  // nothing where it is of another GPU or other libraries. Returns what is to be said of it, or "".
  std::string take(const std::string& file);

  // A collective: compares what the ranks chose, each question on those that asked it. Throws
  // AgreedError, naming the question and two ranks, where choices differ. Returns whether there
  // were new ones.
  bool agree();

  // All that the ranks chose, in one file; its digest.
  void write(const std::string& file) const;
  std::string digest() const;

 private:
  std::string text() const;

  const DeviceChoice& device_;
  Communicator& communicator_;
  std::map<std::string, std::string> choices_;  // of all ranks, by question
};

}  // namespace lockstep
