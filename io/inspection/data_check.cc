#include "io/inspection/data_check.h"

#include <algorithm>

#include "io/inspection/duplicates.h"
#include "io/inspection/part_check.h"

namespace lockstep {

namespace {

// A part whose arrays could be opened, and what is known of them.
struct OpenPart {
  const NamedSource* named;
  std::unique_ptr<Dataset> dataset;
  PartArrays arrays;
};

std::string target_text(const Dataset& dataset) {
  if (dataset.target() == TargetKind::kClass) return "class labels";
  return fmt::format("{} value{} a row", dataset.target_columns(),
                     dataset.target_columns() == 1 ? "" : "s");
}

// What a network that was trained on the first part cannot take of another one.
void check_agreement(const OpenPart& train, const OpenPart& other, const AugmentOptions& augment,
                     std::vector<Finding>& findings) {
  const Dataset &a = *train.dataset, &b = *other.dataset;
  const auto differ = [&](const hdf5::Dataset& array, const std::string& what,
                          const std::string& cure) {
    findings.push_back({Severity::kError, other.arrays.where(array), what, cure});
  };
  const hdf5::Dataset& x = other.arrays.first().x;
  const Shape stored = a.sample_shape(), shape = b.sample_shape();
  if (shape != stored && shape != augmented_shape(augment, stored))
    differ(x,
           fmt::format("samples of {}, but those of {} are {}: one network cannot take both",
                       shape.to_string(), train.named->name, stored.to_string()),
           "prepare both parts with the same columns or size");
  if (a.x_type() != b.x_type())
    differ(x,
           fmt::format("{}, but those of {} are {}: they are scaled in different ways",
                       name_of(b.x_type()), train.named->name, name_of(a.x_type())),
           "store both with one type");
  const bool targets = a.target() != TargetKind::kNone && b.target() != TargetKind::kNone;
  if (targets && (a.target() != b.target() || a.target_columns() != b.target_columns()))
    differ(*other.arrays.first().y,
           fmt::format("{}, but {} has {}", target_text(b), train.named->name, target_text(a)),
           "store both alike: labels as integers (N), values as floats (N, K)");
}

// Of all rows as they are stored, whatever they hold; those of all parts as one type.
RowHashes hash_stored_rows(const PartArrays& part, DType type) {
  constexpr std::int64_t kBlockBytes = std::int64_t{8} << 20;
  std::int64_t total = 0;
  for (const FileArrays& file : part.files) total += file.x.rows();
  RowHashes hashes(total);
  for (const FileArrays& file : part.files) {
    const std::int64_t elements = file.x.row_elements();
    const std::int64_t most = std::clamp<std::int64_t>(
        kBlockBytes / (elements * static_cast<std::int64_t>(size_of(type))), 1, file.x.rows());
    const Tensor block = host_tensor({most, elements}, type);
    for (std::int64_t begin = 0; begin < file.x.rows(); begin += most) {
      const std::int64_t rows = std::min(most, file.x.rows() - begin);
      file.x.read_rows(begin, rows, type, block.raw());
      hashes.add(block.slice(0, rows));
    }
  }
  hashes.finish();
  return hashes;
}

// Rows that stand in two parts, and rows that repeat in the training part.
void check_duplicates(const std::vector<OpenPart>& parts, bool trains,
                      std::vector<Finding>& findings) {
  DType type = parts.front().dataset->x_type();
  for (const OpenPart& part : parts)
    if (part.dataset->x_type() != type) type = DType::kFloat64;  // holds the others' values
  std::vector<RowHashes> hashes;
  for (const OpenPart& part : parts) hashes.push_back(hash_stored_rows(part.arrays, type));
  const std::string& train = parts.front().named->name;
  const auto rows = static_cast<std::int64_t>(hashes.front().sorted().size());
  const Duplicates within = duplicates_within(hashes.front());
  constexpr std::int64_t kManyOf = 20;  // one in so many
  if (trains && within.rows * kManyOf > rows)
    findings.push_back({Severity::kWarning, train,
                        fmt::format("{} of {} rows repeat an earlier row's x ({})", within.rows,
                                    rows, pairs_text(within, train, train)),
                        "keep one of each, or give it a weight"});
  for (std::size_t a = 0; a < hashes.size(); ++a)
    for (std::size_t b = a + 1; b < hashes.size(); ++b) {
      const Duplicates found = duplicates_between(hashes[a], hashes[b]);
      if (found.rows == 0) continue;
      const std::string &first = parts[a].named->name, &second = parts[b].named->name;
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
  std::optional<std::string> stored;
  std::string computed;
  try {
    stored = hdf5::File::open(path).text("/", "checksum");
    if (!stored) return;
    computed = file_checksum(path);
  } catch (const Error& error) {
    findings.push_back({Severity::kWarning, path,
                        fmt::format("its checksum was not compared, for the rows cannot all be "
                                    "read: {}",
                                    error.what()),
                        ""});
    return;
  }
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

// What cannot be opened is a finding as well.
std::vector<OpenPart> open_parts(const DataCheckOptions& options, std::vector<Finding>& findings) {
  std::vector<OpenPart> parts;
  for (const NamedSource& named : options.parts) {
    try {
      auto dataset = Dataset::open(named.source);
      PartArrays arrays = open_arrays(options.files, named, dataset->target());
      if (dataset->target() == TargetKind::kNone)
        findings.push_back({Severity::kError, named.name,
                            &named == &options.parts.front()
                                ? "there is no y, so nothing can be learnt"
                                : "there is no y, so nothing can be measured",
                            "name it with data.y"});
      parts.push_back({&named, std::move(dataset), std::move(arrays)});
    } catch (const Error& error) {
      findings.push_back(
          {Severity::kError, named.name, error.what(), "nothing else was looked for in this part"});
    }
  }
  return parts;
}

// The training part's labels tell how many outputs the network has, unless the config does.
void bound_later_labels(const DataCheckOptions& options, std::int64_t classes, LabelRule& rule) {
  constexpr std::int64_t kFewest = 2;  // that a network tells apart
  if (options.outputs > 0) {
    rule.classes = std::max(kFewest, options.outputs);
    rule.named = true;
  } else if (!rule.named && classes > 0) {
    rule.classes = std::max(kFewest, classes);
  }
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
  const std::vector<OpenPart> parts = open_parts(options, findings);
  const bool trains = !parts.empty() && parts.front().named == &options.parts.front();
  const DatasetInfo info = parts.empty() ? DatasetInfo{} : parts.front().dataset->info();
  LabelRule rule{.classes = static_cast<std::int64_t>(info.classes.size()),
                 .named = !info.classes.empty(),
                 .names = info.classes};
  for (const OpenPart& part : parts) {
    rule.training = trains && &part == &parts.front();
    try {
      check_storage(part.arrays, findings);
      const std::int64_t classes =
          info.task == "regression" ? 0 : check_labels(part.arrays, rule, findings);
      check_values(part.arrays, rule.training, normalization_of(options, info), findings);
      check_weights(part.arrays, findings);
      if (rule.training)
        bound_later_labels(options, classes, rule);
      else if (trains)
        check_agreement(parts.front(), part, options.augment, findings);
    } catch (const Error& error) {
      findings.push_back({Severity::kError, part.named->name, error.what(),
                          "nothing further was looked for in this part"});
    }
  }
  try {
    if (!parts.empty()) check_duplicates(parts, trains, findings);
  } catch (const Error& error) {
    findings.push_back({Severity::kError, "rows", error.what(), "equal rows were not looked for"});
  }
  for (const std::string& file : options.files)
    check_checksum(file, options.files.size() == 1, findings);
  return findings;
}

std::string finding_line(const Finding& finding) {
  return fmt::format("{}: {}: {}{}{}", finding.severity == Severity::kError ? "error" : "warning",
                     finding.where, finding.what, finding.cure.empty() ? "" : "; ", finding.cure);
}

}  // namespace lockstep
