// An error of one rank becomes the error of all; what ranks do not share is named.
#include "runtime/communication/agreement.h"

#include <gtest/gtest.h>

#include "tests/runtime/rank_threads.h"

namespace lockstep {
namespace {

// What each of `ranks` threads threw as AgreedError; empty where nothing was thrown.
std::vector<std::string> errors_of(int ranks, const std::function<void(Communicator&)>& work) {
  std::vector<std::string> errors(static_cast<std::size_t>(ranks));
  testing::on_ranks(ranks, [&](Communicator& communicator) {
    try {
      work(communicator);
    } catch (const AgreedError& error) {
      errors[static_cast<std::size_t>(communicator.rank())] = error.what();
    }
  });
  return errors;
}

TEST(Agreement, NobodyFailed) {
  for (const std::string& error : errors_of(3, [](Communicator& all) { together(all, [] {}); }))
    EXPECT_EQ(error, "");
}

TEST(Agreement, OneRanksErrorIsEverybodys) {
  const auto work = [](Communicator& all) {
    together(all, [&] {
      if (all.rank() == 2) throw Error("no such file");
    });
  };
  for (const std::string& error : errors_of(4, work)) EXPECT_EQ(error, "rank 2: no such file");
}

TEST(Agreement, AnErrorOfAllNamesNoRank) {
  const auto work = [](Communicator& all) { together(all, [] { throw Error("no such file"); }); };
  for (const std::string& error : errors_of(2, work)) EXPECT_EQ(error, "no such file");
}

TEST(Agreement, WhatDiffersIsNamedWithBothValues) {
  const auto work = [](Communicator& all) {
    require_same(all, {{"the program", "0.1"},
                       {"the config", all.rank() == 1 ? "a = 1\nb = 3\n" : "a = 1\nb = 2\n"}});
  };
  for (const std::string& error : errors_of(3, work)) {
    EXPECT_NE(error.find("the config"), std::string::npos) << error;
    EXPECT_NE(error.find("'b = 2'"), std::string::npos) << error;
    EXPECT_NE(error.find("rank 1 has 'b = 3'"), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace lockstep
