// Profile: time by name, collected by one stream (so by one thread at a time). A stream has none by
// default, and a scope then costs one test of a pointer. Names join with a dot as scopes nest:
// "forward" around "conv1" gives "forward.conv1".
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace lockstep {

class Profile {
 public:
  struct Entry {
    std::int64_t count = 0;
    std::chrono::nanoseconds total{0};
  };

  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }
  void clear() { entries_.clear(); }

 private:
  friend class ProfileScope;
  std::map<std::string, Entry, std::less<>> entries_;
  std::string path_;  // of the scopes that are open
};

// Measures from its construction to its end. `profile` may be null: nothing is measured.
class ProfileScope {
 public:
  ProfileScope(Profile* profile, std::string_view name) : profile_(profile) {
    if (profile_) [[unlikely]]
      open(name);
  }
  ~ProfileScope() {
    if (profile_) [[unlikely]]
      close();
  }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  void open(std::string_view name);
  void close();

  Profile* profile_;
  std::size_t outer_length_ = 0;  // of the path around this scope
  std::chrono::steady_clock::time_point start_;
};

// The streams' times added up by name, the largest first: name, count, total ms, mean µs, share.
// Shares are of the outermost scopes' total, so nested names repeat what their outer ones count.
std::string profile_table(std::span<const Profile* const> profiles);

}  // namespace lockstep
