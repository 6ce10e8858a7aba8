#include "io/inspection/data_check.h"

#include <algorithm>

#include "io/inspection/duplicates.h"
#include "io/inspection/part_check.h"

namespace lockstep {

namespace {

bool has_errors(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.severity == Severity::kError; });
}

// Rows that stand in two parts, and rows that repeat in the training part.
void check_duplicates(const DataCheckOptions& options, std::vector<Finding>& findings) {
  std::vector<RowHashes> hashes;
  for (const NamedSource& part : options.parts)
    hashes.push_back(hash_rows(*Dataset::open(part.source)));
  const std::string& train = options.parts.front().name;
  const auto rows = static_cast<std::int64_t>(hashes.front().sorted().size());
  const Duplicates within = duplicates_within(hashes.front());
  constexpr std::int64_t kManyOf = 20;  // one in so many
  if (within.rows * kManyOf > rows)
    findings.push_back({Severity::kWarning, train,
                        fmt::format("{} of {} rows repeat an earlier row's x ({})", within.rows,
                                    rows, pairs_text(within, train, train)),
                        "keep one of each, or give it a weight"});
  for (std::size_t a = 0; a < hashes.size(); ++a)
    for (std::size_t b = a + 1; b < hashes.size(); ++b) {
      const Duplicates found = duplicates_between(hashes[a], hashes[b]);
      if (found.rows == 0) continue;
      const std::string &first = options.parts[a].name, &second = options.parts[b].name;
      findings.push_back(
          {Severity::kWarning, second,
           fmt::format("{} of {} rows stand in {} too ({}): what is measured on them was learnt by "
                       "heart",
                       found.rows, hashes[b].sorted().size(), first,
                       pairs_text(found, first, second)),
           fmt::format("leave them out of {}, or cut the parts so that equal rows stay together",
                       second)});
    }
}

void check_checksum(const std::string& path, bool alone, std::vector<Finding>& findings) {
  const auto stored = hdf5::File::open(path).text("/", "checksum");
  if (!stored) return;
  const std::string computed = file_checksum(path);
  if (computed != *stored)
    findings.push_back({Severity::kError, alone ? "/" : path,
                        fmt::format("the contents' checksum is {}, but {} is stored: the file "
                                    "changed since it was prepared",
                                    computed, *stored),
                        "prepare it again"});
}

Normalization normalization_of(const DataCheckOptions& options, const DatasetInfo& info) {
  if (!options.normalize) return {};
  if (!options.mean.empty()) return {options.mean, options.std};
  return {info.mean, info.std};
}

}  // namespace

DataCheckOptions check_of_files(const std::vector<std::string>& files) {
  const hdf5::File first = hdf5::File::open(files.front());
  DataCheckOptions options;
  options.files = files;
  for (const std::string part : {"train", "validation", "test"})
    if (first.has_group("/" + part))
      options.parts.push_back({part, {.file = files, .group = "/" + part}});
  if (options.parts.empty() || options.parts.front().name != "train")
    options.parts.insert(options.parts.begin(), {"train", {.file = files, .group = ""}});
  return options;
}

std::vector<Finding> check_data(const DataCheckOptions& options) {
  std::vector<Finding> findings;
  std::vector<PartArrays> parts;
  DatasetInfo info;
  // What cannot be opened is a finding as well: the first one, and nothing else can be looked at.
  try {
    for (const NamedSource& part : options.parts) {
      const auto dataset = Dataset::open(part.source);
      if (parts.empty()) info = dataset->info();
      if (dataset->target() == TargetKind::kNone)
        findings.push_back({Severity::kError, part.name, "there is no y, so nothing can be learnt",
                            "name it with data.y"});
      parts.push_back(open_arrays(options.files, part));
    }
  } catch (const Error& error) {
    findings.push_back({Severity::kError, parts.empty() ? "train" : "parts", error.what(), ""});
    return findings;
  }
  LabelRule rule{.classes = static_cast<std::int64_t>(info.classes.size()), .names = info.classes};
  for (const PartArrays& part : parts) {
    const bool training = &part == &parts.front();
    rule.training = training;
    check_storage(part, findings);
    if (info.task != "regression") check_labels(part, rule, findings);
    check_values(part, training, normalization_of(options, info), findings);
    check_weights(part, findings);
  }
  if (has_errors(findings)) return findings;  // reading rows would end at the first of them
  try {
    check_duplicates(options, findings);
    for (const std::string& file : options.files)
      check_checksum(file, options.files.size() == 1, findings);
  } catch (const Error& error) {
    findings.push_back({Severity::kError, "rows", error.what(), ""});
  }
  return findings;
}

std::string finding_line(const Finding& finding) {
  return fmt::format("{}: {}: {}{}{}", finding.severity == Severity::kError ? "error" : "warning",
                     finding.where, finding.what, finding.cure.empty() ? "" : "; ", finding.cure);
}

}  // namespace lockstep
