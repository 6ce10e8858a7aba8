#include "runtime/communication/communicator.h"

namespace lockstep {

std::string Communicator::broadcast(std::string text, int root) {
  std::uint64_t length = text.size();
  broadcast(std::as_writable_bytes(std::span(&length, 1)), root);
  text.resize(length);
  broadcast(std::as_writable_bytes(std::span(text.data(), text.size())), root);
  return text;
}

}  // namespace lockstep
