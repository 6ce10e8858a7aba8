// CallWatch: ends the process when a call that nothing can interrupt, such as a collective of MPI,
// has not returned in time. No exception can leave such a call: the message is printed here, and
// the launcher, which sees a rank gone, ends the others.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace lockstep {

class CallWatch {
 public:
  CallWatch();
  ~CallWatch();
  CallWatch(const CallWatch&) = delete;
  CallWatch& operator=(const CallWatch&) = delete;

  // Runs `call`; prints `message` and ends the process with status 1 if it takes longer.
  template <typename Call>
  void run(const Call& call, double seconds, const std::string& message) {
    begin(seconds, message);
    call();
    end();
  }

 private:
  void begin(double seconds, const std::string& message);
  void end();
  void watch();

  std::mutex mutex_;
  std::condition_variable changed_;
  bool running_ = false, leaving_ = false;
  std::chrono::steady_clock::time_point deadline_;
  std::string message_;
  std::thread thread_;
};

}  // namespace lockstep
