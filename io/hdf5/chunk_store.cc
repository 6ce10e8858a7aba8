#include "io/hdf5/chunk_store.h"

#include <cstring>

#include "kernels/core/error.h"

namespace lockstep::hdf5 {

namespace {

constexpr std::uint32_t kNoFilter = ~std::uint32_t{0};
constexpr std::uint64_t kMostChunkBytes = std::uint64_t{1} << 30;  // each reader unpacks one

class FileSource final : public ByteSource {
 public:
  explicit FileSource(const FileReader& file) : file_(file) {}
  std::uint64_t size() const override { return file_.size(); }
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const override {
    file_.read_at(offset, bytes);
  }

 private:
  const FileReader& file_;
};

std::vector<std::uint64_t> coordinates(const ChunkGrid& grid, std::uint64_t index) {
  std::vector<std::uint64_t> place(grid.rank());
  for (std::size_t axis = grid.rank(); axis-- > 0;) {
    place[axis] = index % grid.chunks_along(axis);
    index /= grid.chunks_along(axis);
  }
  return place;
}

}  // namespace

std::optional<std::string> ChunkStore::unsupported(const Dataset& dataset) {
  const std::optional<ChunkStorage>& storage = dataset.chunk_storage();
  if (!storage) return "it is not chunked";
  if (storage->fill.empty()) return "its elements are no numbers";
  const ChunkGrid& grid = storage->grid;
  if (grid.chunks() > ChunkGrid::kMostChunks) return fmt::format("{} chunks", grid.chunks());
  if (grid.chunk_bytes() > kMostChunkBytes)
    return fmt::format("chunks of {} bytes", grid.chunk_bytes());
  if (const auto name = FilterPipeline(storage->filters, grid.chunk_bytes()).unknown())
    return fmt::format("filter {}", *name);
  return std::nullopt;
}

ChunkStore::ChunkStore(const Dataset& dataset, std::shared_ptr<const FileReader> file)
    : where_(dataset.where()),
      storage_(*dataset.chunk_storage()),
      chunk_bytes_(storage_.grid.chunk_bytes()),
      pipeline_(storage_.filters, storage_.grid.chunk_bytes()),
      file_(std::move(file)),
      chunks_(walk_chunks(FileSource(*file_), where_, dataset.object_header(), storage_.grid)) {}

std::string ChunkStore::where(std::size_t index) const {
  return fmt::format("{}: chunk ({}) at address {}", where_,
                     fmt::join(coordinates(storage_.grid, index), ", "), chunks_[index].address);
}

std::uint32_t ChunkStore::filter_mask(std::size_t index) const {
  if (storage_.edges_unfiltered) {
    const std::vector<std::uint64_t> place = coordinates(storage_.grid, index);
    for (std::size_t axis = 0; axis < place.size(); ++axis)
      if ((place[axis] + 1) * storage_.grid.chunk[axis] > storage_.grid.sizes[axis])
        return kNoFilter;
  }
  return chunks_[index].filter_mask;
}

void ChunkStore::fill(std::span<std::byte> elements) const {
  const std::size_t bytes = storage_.fill.size();
  for (std::size_t place = 0; place < elements.size(); place += bytes)
    std::memcpy(elements.data() + place, storage_.fill.data(), bytes);
}

std::uint32_t ChunkStore::read_stored(std::size_t index, std::vector<std::byte>& stored) const {
  const Chunk& chunk = chunks_.at(index);
  stored.resize(chunk.address == Chunk::kUnwritten ? 0 : chunk.bytes);
  if (chunk.address != Chunk::kUnwritten) file_->read_at(chunk.address, stored);
  return filter_mask(index);
}

void ChunkStore::unpack(std::size_t index, FilterScratch& scratch,
                        std::span<std::byte> chunk) const {
  LOCKSTEP_CHECK(chunk.size() == chunk_bytes_, "{} bytes for a chunk of {}", chunk.size(),
                 chunk_bytes_);
  if (chunks_.at(index).address == Chunk::kUnwritten) return fill(chunk);
  const std::uint32_t mask = read_stored(index, scratch.stored);
  pipeline_.undo(
      scratch.stored, mask, [&] { return where(index); }, scratch, chunk);
}

void ChunkStore::read_piece(std::size_t index, std::size_t begin,
                            std::span<std::byte> piece) const {
  const Chunk& chunk = chunks_.at(index);
  LOCKSTEP_CHECK(!filtered() && begin + piece.size() <= chunk_bytes_, "a piece of a chunk");
  if (chunk.address == Chunk::kUnwritten) return fill(piece);
  file_->read_at(chunk.address + begin, piece);
}

}  // namespace lockstep::hdf5
