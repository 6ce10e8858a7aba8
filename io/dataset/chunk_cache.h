// ChunkCache: unpacked chunks that several reads or threads use, up to a number of bytes. A chunk
// that two threads want at once is unpacked by one of them while the other waits.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

namespace lockstep {

inline constexpr std::size_t kChunkCacheBytes = std::size_t{64} << 20;  // where nobody says less

class ChunkCache {
 public:
  using Bytes = std::shared_ptr<const std::vector<std::byte>>;
  using Unpack = std::function<void(std::span<std::byte>)>;

  // The most recent chunk is kept however large it is.
  ChunkCache(std::size_t chunk_bytes, std::size_t most_bytes);

  // Chunk `index`, from the cache or from `unpack`, whose error is passed on and not remembered.
  Bytes get(std::size_t index, const Unpack& unpack);
  std::size_t most_bytes() const { return most_chunks_ * chunk_bytes_; }

 private:
  struct Entry {
    std::mutex mutex;
    Bytes bytes;  // null until unpacked
  };
  using Place = std::list<std::pair<std::size_t, std::shared_ptr<Entry>>>::iterator;
  std::shared_ptr<Entry> entry(std::size_t index);

  const std::size_t chunk_bytes_, most_chunks_;
  std::mutex mutex_;
  std::list<std::pair<std::size_t, std::shared_ptr<Entry>>> recent_;  // the latest first
  std::unordered_map<std::size_t, Place> places_;
};

}  // namespace lockstep
