// The checkpoint container: a JSON text of state and named tensors, in frames that carry checksums.
// It holds what it is given and nothing else: no time, host or path, so equal states give equal
// bytes. All numbers are little-endian; every part is padded with zeros to a multiple of 8.
//
//   header   "LOCKSTEP", version u32, tensors u32, file bytes u64, JSON bytes u64, checksum u64
//   state    JSON text, checksum u64
//   tensor   name bytes u32, type u8, axes u8, 0 u16, sizes u64 each, name, checksum u64 of these;
//            values, checksum u64                                              (once a tensor)
//   trailer  checksum u64 of everything before it
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/formats/safetensors.h"

namespace lockstep {

struct Checkpoint {
  std::string state;  // JSON text
  std::vector<NamedTensor> tensors;

  const Tensor& tensor(const std::string& name) const;  // throws if there is none
};

// The file appears under its name only when it is complete and on the disk.
void write_checkpoint(const std::string& path, const std::string& state,
                      std::span<const NamedTensor> tensors);

// Reads and checks everything. What is damaged (the part or tensor, and the byte at which it
// starts) is the Error's text, so that a caller can say it and take the next older one.
Checkpoint read_checkpoint(const std::string& path);

struct CheckpointFile {
  std::string path;
  std::int64_t step;
};

std::string checkpoint_name(std::int64_t step);  // "step-00000120.ckpt"
// Those of a folder by their names, newest first; a folder that is not there has none.
std::vector<CheckpointFile> list_checkpoints(const std::string& folder);

}  // namespace lockstep
