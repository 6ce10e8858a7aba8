#include "io/dataset/chunk_cache.h"

#include <algorithm>

namespace lockstep {

ChunkCache::ChunkCache(std::size_t chunk_bytes, std::size_t most_bytes)
    : chunk_bytes_(chunk_bytes), most_chunks_(std::max<std::size_t>(1, most_bytes / chunk_bytes)) {}

std::shared_ptr<ChunkCache::Entry> ChunkCache::entry(std::size_t index) {
  const std::lock_guard lock(mutex_);
  if (const auto found = places_.find(index); found != places_.end()) {
    recent_.splice(recent_.begin(), recent_, found->second);
    return found->second->second;
  }
  if (recent_.size() == most_chunks_) {
    places_.erase(recent_.back().first);
    recent_.pop_back();
  }
  recent_.emplace_front(index, std::make_shared<Entry>());
  places_[index] = recent_.begin();
  return recent_.front().second;
}

ChunkCache::Bytes ChunkCache::get(std::size_t index, const Unpack& unpack) {
  const std::shared_ptr<Entry> wanted = entry(index);
  const std::lock_guard lock(wanted->mutex);
  if (!wanted->bytes) {
    auto bytes = std::make_shared<std::vector<std::byte>>(chunk_bytes_);
    unpack(*bytes);
    wanted->bytes = std::move(bytes);
  }
  return wanted->bytes;
}

}  // namespace lockstep
