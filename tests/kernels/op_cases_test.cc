// Every operation case on every instruction set of this processor, aligned, unaligned and in place:
// within its tolerance of the double-precision reference, and the same bits everywhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "kernels/cases/case_run.h"
#include "kernels/cases/op_list.h"
#include "kernels/cpu/cpu_backend.h"

namespace lockstep::cases {
namespace {

std::vector<std::unique_ptr<Backend>> all_backends() {
  std::vector<std::unique_ptr<Backend>> backends;
  for (const Isa isa : runnable_isas()) backends.push_back(make_cpu_backend(isa));
  return backends;
}

std::vector<std::string> operations_of_cases() {
  std::set<std::string> names;
  for (const OpCase& c : all_cases()) names.insert(c.operation);
  return {names.begin(), names.end()};
}

void expect_same_bits(const OutputBytes& expected, const OutputBytes& got,
                      const std::string& where) {
  for (const auto& [name, bytes] : expected) {
    const std::vector<std::byte>& other = got[name];
    ASSERT_EQ(bytes.size(), other.size()) << where;
    const auto differs = std::ranges::mismatch(bytes, other).in1;
    EXPECT_EQ(differs, bytes.end()) << where << ": '" << name << "' differs at byte "
                                    << differs - bytes.begin() << " of " << bytes.size();
  }
}

void test_case(const OpCase& c, const std::vector<std::unique_ptr<Backend>>& backends,
               std::uint64_t seed) {
  const Values values = make_values(c, seed);
  const Results expected = reference_results(c, values);
  std::vector<Placement> placements = {{}, {.unaligned = true}};
  for (const InPlace& in_place : c.in_place) placements.push_back({.in_place = &in_place});
  OutputBytes first;
  bool have_first = false;
  for (const auto& backend : backends) {
    for (const Placement& placement : placements) {
      CaseRun run(*backend, c, values, placement);
      run.run();
      const OutputBytes outputs = run.collect();
      const std::string where = fmt::format(
          "{} on {}{}{}", c.name(), backend->isa(), placement.unaligned ? ", unaligned" : "",
          placement.in_place ? ", in place of " + placement.in_place->input : "");
      if (have_first) {
        expect_same_bits(first, outputs, where);
        continue;
      }
      first = outputs;
      have_first = true;
      check_outputs(c, expected, outputs);
    }
  }
}

class OpCasesTest : public testing::TestWithParam<std::string> {};

TEST_P(OpCasesTest, MatchesTheReferenceWithTheSameBitsEverywhere) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(fmt::format("rerun with LOCKSTEP_TEST_SEED={}", seed));
  const auto backends = all_backends();
  for (const OpCase& c : all_cases()) {
    if (c.operation != GetParam() || c.use == Use::kBenchmark) continue;
    try {
      test_case(c, backends, seed);
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, OpCasesTest, testing::ValuesIn(operations_of_cases()),
                         [](const auto& param) { return param.param; });

// The list names every pure virtual operation of backend.h.
TEST(OpListTest, CoversTheTableOfContents) {
  const auto header = std::filesystem::path(__FILE__).parent_path() / "../../kernels/backend.h";
  std::ifstream file(header);
  ASSERT_TRUE(file) << header;
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const std::vector<std::string> covered = operations_of_cases();
  const std::set<std::string> not_operations = {
      "isa",         "activation_type",   "linear_packed_elements", "conv_packed_elements",
      "packs_alike", "conv_adds_gradient"};
  const std::regex declaration(R"(virtual [\w:]+ (\w+)\()");
  int operations = 0;
  for (std::sregex_iterator match(text.begin(), text.end(), declaration), end; match != end;
       ++match) {
    const std::string name = (*match)[1];
    if (not_operations.contains(name)) continue;
    ++operations;
    EXPECT_TRUE(std::ranges::binary_search(covered, name)) << name << " has no case";
  }
  EXPECT_EQ(operations, static_cast<int>(covered.size()))
      << "a case names an operation that backend.h lacks";
}

// The harness itself: what it must notice, it notices.
OpCase copying_case() {
  OpCase c;
  c.operation = "copy";
  c.label = "of 5";
  c.arguments = {input("x", {5}), output("y", {5})};
  c.run = [](Backend& backend, Stream&, Tensors& t) { backend.copy(t["x"], t["y"]); };
  c.reference = [](const Values& in, Results& out) {
    out["y"].assign(in["x"].begin(), in["x"].end());
  };
  return c;
}

std::string complaint_about(const OpCase& c) {
  const auto backend = make_cpu_backend(best_isa());
  const Values values = make_values(c, test_seed());
  try {
    CaseRun run(*backend, c, values);
    run.run();
    check_outputs(c, reference_results(c, values), run.collect());
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(CaseRunTest, AcceptsWhatIsRight) {
  EXPECT_EQ(complaint_about(copying_case()), "");
}

TEST(CaseRunTest, NoticesAnOutputThatNobodyWrote) {
  OpCase c = copying_case();
  c.run = [](Backend&, Stream&, Tensors&) {};
  EXPECT_NE(complaint_about(c).find("5 of 5 elements of 'y' are wrong"), std::string::npos)
      << complaint_about(c);
}

TEST(CaseRunTest, NoticesAWriteBehindTheEnd) {
  OpCase c = copying_case();
  c.run = [](Backend& backend, Stream&, Tensors& t) {
    backend.copy(t["x"], t["y"]);
    t["y"].data<float>()[5] = 0;
  };
  EXPECT_NE(complaint_about(c).find("a guard band of 'y' was overwritten, 20 bytes"),
            std::string::npos)
      << complaint_about(c);
}

TEST(CaseRunTest, NoticesAChangedInput) {
  OpCase c = copying_case();
  c.run = [](Backend& backend, Stream&, Tensors& t) {
    backend.copy(t["x"], t["y"]);
    t["x"].data<float>()[1] += 1;
  };
  EXPECT_NE(complaint_about(c).find("an input, element of 'x' was overwritten"), std::string::npos)
      << complaint_about(c);
}

TEST(CaseRunTest, NoticesAnErrorOfOneUnitInTheLastPlace) {
  OpCase c = copying_case();
  c.run = [](Backend& backend, Stream&, Tensors& t) {
    backend.copy(t["x"], t["y"]);
    float& y = t["y"].data<float>()[3];
    y = std::nextafter(y, INFINITY);
  };
  EXPECT_NE(complaint_about(c).find("1 of 5 elements of 'y' are wrong; element 3"),
            std::string::npos)
      << complaint_about(c);
}

}  // namespace
}  // namespace lockstep::cases
