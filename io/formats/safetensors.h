// safetensors files (https://huggingface.co/docs/safetensors): 8 bytes of header length, a JSON
// header with each tensor's type, shape and place, then the values, little-endian and without gaps.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "io/base/file.h"
#include "kernels/core/tensor.h"

namespace lockstep {

struct NamedTensor {
  std::string name;
  Tensor tensor;  // on the host
};

// Tensors in the given order; the values start at a multiple of 8. Equal contents give equal bytes.
// The file appears under its name only when it is complete.
void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

class SafetensorsReader {
 public:
  struct Entry {
    std::string name;
    DType type;  // of what read() gives
    Shape shape;
    std::uint64_t offset;  // in the file
    std::string code;      // of the values in the file: "F32"; "F16" is read as float32
  };

  // Reads and checks the header: length, JSON, types, shapes, places that overlap, leave gaps or
  // pass the end of the file. The Error names the file and the tensor, or the format that it is.
  explicit SafetensorsReader(const std::string& path);

  const std::vector<Entry>& entries() const { return entries_; }  // in the order of the values
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const Entry* find(const std::string& name) const;  // null if there is none
  Tensor read(const Entry& entry) const;             // a host tensor
  const std::string& path() const { return file_.path(); }

 private:
  FileReader file_;
  std::vector<Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace lockstep
