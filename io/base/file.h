// Files on disk: reading at a place, and writing so that a name only ever shows complete contents:
// a temporary name in the same folder, fsync, rename, fsync of the folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

// A path in the making: whoever writes uses temporary(), then commit() gives it its final name.
// The temporary name is a fixed one, so that what a killed process left is overwritten by the next;
// destroyed without commit() it is removed.
class PendingFile {
 public:
  explicit PendingFile(std::string path);
  ~PendingFile();
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  const std::string& path() const { return path_; }
  const std::string& temporary() const { return temporary_; }
  void commit();

 private:
  std::string path_, temporary_;
  bool committed_ = false;
};

// Buffered writing of one file under its temporary name. Errors (disk full, no permission) name the
// file and the bytes wanted.
class FileWriter {
 public:
  explicit FileWriter(const std::string& path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  std::uint64_t written() const { return written_; }
  void commit();  // nothing is visible under the final name before this returns

 private:
  void flush();
  void put(std::span<const std::byte> bytes);
  void close();

  PendingFile pending_;
  std::vector<std::byte> buffer_;
  std::uint64_t written_ = 0;
  int descriptor_ = -1;
};

// Reads anywhere in a file; a read past the end is an error that says the file is truncated.
class FileReader {
 public:
  explicit FileReader(std::string path);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::string path_;
  std::uint64_t size_ = 0;
  int descriptor_ = -1;
};

std::string read_text(const std::string& path);
void write_text(const std::string& path, std::string_view text);  // atomic

}  // namespace lockstep
