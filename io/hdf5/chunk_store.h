// ChunkStore: the chunks of one dataset, found and unpacked past the HDF5 library and its lock, by
// any number of threads. The library's own queries for chunks are not used: besides their time,
// they disagree between releases about files with a user block, and name wrong chunks where another
// axis than the first may grow without a limit (1.10.8).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "io/base/file.h"
#include "io/hdf5/hdf5.h"

namespace lockstep::hdf5 {

class ChunkStore {
 public:
  // `file` is dataset.storage_file(). Throws where the chunk index is damaged; a dataset of which
  // unsupported() gives a reason must not come here.
  ChunkStore(const Dataset& dataset, std::shared_ptr<const FileReader> file);
  // Why only the library can read this chunked dataset; nothing where this class can.
  static std::optional<std::string> unsupported(const Dataset& dataset);

  const ChunkGrid& grid() const { return storage_.grid; }
  std::size_t chunk_bytes() const { return chunk_bytes_; }  // unpacked
  bool filtered() const { return !pipeline_.empty(); }

  // Chunk `index` as an array of elements in the file's byte order.
  void unpack(std::size_t index, FilterScratch& scratch, std::span<std::byte> chunk) const;
  // A piece of an unfiltered chunk.
  void read_piece(std::size_t index, std::size_t begin, std::span<std::byte> piece) const;
  // As stored in the file, and the mask of filters left out; empty where it was never written.
  std::uint32_t read_stored(std::size_t index, std::vector<std::byte>& stored) const;
  const FilterPipeline& pipeline() const { return pipeline_; }

 private:
  std::string where(std::size_t index) const;
  std::uint32_t filter_mask(std::size_t index) const;
  void fill(std::span<std::byte> elements) const;

  std::string where_;
  ChunkStorage storage_;
  std::size_t chunk_bytes_;
  FilterPipeline pipeline_;
  std::shared_ptr<const FileReader> file_;
  std::vector<Chunk> chunks_;  // row-major over the grid
};

}  // namespace lockstep::hdf5
