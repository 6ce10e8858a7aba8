// CSV text as real files write it, and every way in which it can be wrong.
#include "io/formats/csv_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "io/prepare/split.h"
#include "tests/io/h5_files.h"
#include "tests/io/plain_file.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

class Csv : public ::testing::Test {
 protected:
  CsvTable read(const std::string& text, const CsvOptions& options = {}) {
    save_text(folder_.file("data.csv"), text);
    return CsvTable::read(file(), options);
  }
  std::string file() const { return folder_.file("data.csv"); }
  std::string error(const std::string& text, const CsvOptions& options = {}) {
    return error_of([&] { read(text, options); });
  }

 private:
  ScratchFolder folder_;
};

TEST_F(Csv, ReadsPlainRows) {
  const CsvTable table = read("a,b\n1,2\n3,4\n");
  ASSERT_EQ(table.rows(), 2u);
  EXPECT_EQ(table.columns(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(table.cell(1, 0), "3");
  EXPECT_EQ(table.line(1), 3);
}

TEST_F(Csv, ReadsByteOrderMarkCrlfBlanksAndEmptyLines) {
  const CsvTable table = read("\xEF\xBB\xBF a , b \r\n\r\n 1 ,\t2\r\n\r\n3,\r\n");
  EXPECT_EQ(table.columns(), (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(table.rows(), 2u);
  EXPECT_EQ(table.cell(0, 0), "1");
  EXPECT_EQ(table.cell(0, 1), "2");
  EXPECT_EQ(table.cell(1, 1), "");
  EXPECT_EQ(table.line(1), 5);
}

TEST_F(Csv, ReadsQuotes) {
  const CsvTable table = read("\"a,1\",b\n\"say \"\"hi\"\"\", \"two\nlines\" \nx,\"\"\n");
  EXPECT_EQ(table.columns()[0], "a,1");
  EXPECT_EQ(table.cell(0, 0), "say \"hi\"");
  EXPECT_EQ(table.cell(0, 1), "two\nlines");
  EXPECT_EQ(table.cell(1, 1), "");
  EXPECT_EQ(table.line(1), 4);
}

TEST_F(Csv, ReadsOtherDelimitersAndNoHeader) {
  const CsvTable tabs = read("1\t\t3\n4\t5\t6", {.delimiter = '\t', .header = false});
  EXPECT_EQ(tabs.columns(), (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ(tabs.cell(0, 1), "");
  EXPECT_EQ(tabs.cell(1, 2), "6");
  EXPECT_EQ(read("a;b\n1,5;2\n", {.delimiter = ';'}).cell(0, 0), "1,5");
}

TEST_F(Csv, FindsColumnsByNameAndNumber) {
  const CsvTable table = read("a,b,0\n1,2,3\n");
  EXPECT_EQ(table.column("b", "the target"), 1u);
  EXPECT_EQ(table.column("1", "the target"), 1u);
  EXPECT_EQ(table.column("0", "the target"), 2u);  // a name wins
  const std::string unknown = error_of([&] { table.column("c", "the target"); });
  EXPECT_THAT(unknown, HasSubstr("no column 'c' (the target); the columns are: a, b, 0"));
  EXPECT_NE(error_of([&] { table.column("3", "the target"); }), "");
  EXPECT_NE(error_of([&] { table.column("-1", "the target"); }), "");
}

TEST_F(Csv, NamesTheLineOfWhatIsWrong) {
  EXPECT_THAT(error("a,b\n1,2\n\n3\n"), HasSubstr("line 4: 1 cells, where the header has 2"));
  EXPECT_THAT(error("1,2\n1,2,3\n", {.header = false}), HasSubstr("line 2: 3 cells"));
  EXPECT_THAT(error("a,b\n1,\"2\n3,4\n"), HasSubstr("line 2: a quoted cell never closes"));
  EXPECT_THAT(error("a,b\n1,\"2\"x\n"), HasSubstr("line 2: text after a closing quote"));
  EXPECT_THAT(error("a,a\n1,2\n"), HasSubstr("two columns are named 'a'"));
  EXPECT_THAT(error(""), HasSubstr("no rows"));
  EXPECT_THAT(error("a,b\n"), HasSubstr("no rows after the header"));
}

TEST_F(Csv, SurvivesAnyText) {
  std::uint32_t state = ::testing::UnitTest::GetInstance()->random_seed() + 1u;
  SCOPED_TRACE(state);
  const std::string letters = "a1,\"\r\n\t; ?";
  for (int round = 0; round < 400; ++round) {
    std::string text;
    for (state = state * 1664525 + 1013904223; text.size() < state >> 27;) {
      state = state * 1664525 + 1013904223;
      text += letters[(state >> 24) % letters.size()];
    }
    error_of([&] {
      const CsvTable table = read(text);
      for (std::size_t row = 0; row < table.rows(); ++row)
        for (std::size_t column = 0; column < table.columns().size(); ++column)
          EXPECT_LE(table.cell(row, column).size(), text.size());
    });
  }
}

TEST(CsvCells, KnowsMissingValuesAndNumbers) {
  for (const char* cell : {"", "NA", "na", "N/A", "nan", "NaN", "?"})
    EXPECT_TRUE(is_missing(cell)) << cell;
  for (const char* cell : {"0", "none", "N", "??"}) EXPECT_FALSE(is_missing(cell)) << cell;
  EXPECT_EQ(parse_number("1.5e3"), 1500.0);
  EXPECT_EQ(parse_number("+2"), 2.0);
  EXPECT_EQ(parse_number("-.5"), -0.5);
  for (const char* cell : {"", "1,5", "1 2", "0x10", "inf", "nan", "1e999", "+-1", "+", "12a"})
    EXPECT_FALSE(parse_number(cell).has_value()) << cell;
}

TEST(Split, CutsByShareAndClass) {
  std::vector<std::int64_t> labels;
  for (int i = 0; i < 1000; ++i) labels.push_back(i % 10 == 0 ? 0 : i % 2 + 1);  // 100, 400, 500
  const Split split =
      split_rows(1000, labels, Portion::of_count(50), Portion::parse("0.2", "--test"), 7);
  EXPECT_EQ(split.test.size(), 200u);
  EXPECT_EQ(split.validation.size(), 50u);
  EXPECT_EQ(split.train.size(), 750u);
  std::vector<int> test_rows(3), seen(1000);
  for (const std::int64_t row : split.test)
    ++test_rows[static_cast<std::size_t>(labels[static_cast<std::size_t>(row)])];
  EXPECT_EQ(test_rows, (std::vector<int>{20, 80, 100}));
  for (const auto* part : {&split.train, &split.validation, &split.test}) {
    EXPECT_TRUE(std::is_sorted(part->begin(), part->end()));
    for (const std::int64_t row : *part) ++seen[static_cast<std::size_t>(row)];
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), 1000);
}

TEST(Split, IsAFunctionOfTheSeed) {
  const auto test_of = [](std::uint64_t seed) {
    return split_rows(100, {}, Portion{}, Portion::of_count(10), seed).test;
  };
  EXPECT_EQ(test_of(1), test_of(1));
  EXPECT_NE(test_of(1), test_of(2));
  // Held, or files prepared before and after a change would differ.
  EXPECT_EQ(split_rows(10, {}, Portion{}, Portion::of_count(3), 0).test,
            (std::vector<std::int64_t>{1, 2, 7}));
}

// Fifty classes of one row beside two of a hundred: the large ones make the other parts.
TEST(Split, RareClassesKeepARowToTrainOn) {
  std::vector<std::int64_t> labels;
  for (int i = 0; i < 250; ++i) labels.push_back(i < 200 ? i % 2 : i - 198);
  const Split split = split_rows(250, labels, Portion::of_fraction(0.3), Portion::of_count(50), 3);
  EXPECT_EQ(split.validation.size(), 75u);
  EXPECT_EQ(split.test.size(), 50u);
  std::vector<int> train_rows(52);
  for (const std::int64_t row : split.train)
    ++train_rows[static_cast<std::size_t>(labels[static_cast<std::size_t>(row)])];
  for (const int rows : train_rows) EXPECT_GE(rows, 1);
}

TEST(Split, RefusesWhatLeavesNothing) {
  EXPECT_THAT(error_of([] { split_rows(10, {}, Portion::of_count(5), Portion::of_count(5), 0); }),
              HasSubstr("none of 10"));
  for (const char* text : {"1.0", "-1", "x", "", "20%", "nan"})
    EXPECT_THAT(error_of([&] { Portion::parse(text, "--test"); }), HasSubstr("--test")) << text;
  EXPECT_EQ(Portion::parse("0", "--test").of(10), 0);
}

// Whatever the size of its blocks, a file has the cells and lines of the table in memory.
TEST_F(Csv, BlocksAreTheTable) {
  std::mt19937 engine(std::random_device{}());
  const auto seed = engine();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  engine.seed(seed);
  const std::vector<std::string> pieces = {"7", " a b ", "\"q\"\"1\"", "\"x\r\n\ny\"",
                                           "",  "é",     "\"\"",       "1.5\rz"};
  const std::vector<std::string> ends = {"\n", "\r\n", "\n\n\r\n", "\r\n\r\n"};
  for (int file = 0; file < 30; ++file) {
    std::string text = file % 2 == 0 ? "\xEF\xBB\xBF" : "";
    for (int row = 0; row < 40; ++row) {
      text += row == 0 ? "a" : pieces[engine() % pieces.size()];
      text += row == 0 ? ",\"b\nc\"" : "," + pieces[engine() % pieces.size()];
      if (row < 39 || file % 3 == 0) text += ends[engine() % ends.size()];
    }
    const CsvOptions options{.delimiter = ',', .header = file % 4 != 3};
    const CsvTable table = read(text, options);
    for (const std::size_t bytes : {1, 2, 7, 64, 1000, 1'000'000}) {
      CsvFile blocks(table.path(), options, bytes);
      ASSERT_EQ(blocks.columns(), table.columns());
      ASSERT_EQ(blocks.rows(), static_cast<std::int64_t>(table.rows()));
      std::vector<std::int64_t> rows = ascending_rows(blocks.rows());
      if (bytes == 7) std::shuffle(rows.begin(), rows.end(), engine);
      std::size_t next = 0;
      blocks.for_each_block(rows, [&](const CsvTable& block, std::span<const std::int64_t> inside) {
        for (const std::int64_t place : inside) {
          const auto i = static_cast<std::size_t>(place);
          const auto row = static_cast<std::size_t>(rows[next++]);
          EXPECT_EQ(block.line(i), table.line(row));
          for (std::size_t c = 0; c < table.columns().size(); ++c)
            EXPECT_EQ(block.cell(i, c), table.cell(row, c)) << row << ' ' << c;
        }
      });
      EXPECT_EQ(next, rows.size());
      if (HasFailure()) return;
    }
  }
}

TEST_F(Csv, BlocksFailAsTheTableDoes) {
  for (const char* text : {"a,b\n1,2\n3\n4,5\n", "a,b\n1,\"2\n3,4\n5,6\n", "a,b\n", "",
                           "a,a\n1,2\n", "a,b\n1,\"x\"y\n"}) {
    const std::string whole = error(text);
    for (const std::size_t bytes : {1, 5, 1000})
      EXPECT_EQ(error_of([&] { CsvFile(file(), {}, bytes); }), whole) << text << bytes;
  }
}

TEST_F(Csv, AFileThatChangesIsAnError) {
  read("a,b\n1,2\n3,4\n5,6\n");
  CsvFile blocks(file(), {}, 4);
  save_text(file(), "a,b\n\"1,2\n3,4\n5,6\"");
  EXPECT_THAT(
      error_of([&] { blocks.for_each_block(ascending_rows(3), [](const CsvTable&, auto) {}); }),
      HasSubstr("data.csv"));
}

}  // namespace
}  // namespace lockstep
