#include "launch/bench/bench_loader.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "io/augment/augmentation.h"
#include "io/dataset/row_reader.h"
#include "io/loading/loader.h"
#include "launch/bench/bench_augment.h"
#include "launch/bench/bench_summary.h"
#include "launch/trained.h"
#include "runtime/config/augment_kinds.h"
#include "runtime/config/config.h"
#include "runtime/run/session.h"

namespace lockstep {

namespace {

constexpr std::int64_t kShards = 8;
constexpr int kLookAhead = 2;
constexpr double kRoundBytes = double{1 << 29};     // of rows in a round of plain reading
constexpr double kRoundUnpacked = double{1 << 27};  // of rows in a round of unpacking
constexpr std::size_t kWarmBlock = std::size_t{1} << 22;

struct Subject {
  std::shared_ptr<const Dataset> dataset;
  std::unique_ptr<RowReader> x;                      // for the peers
  std::shared_ptr<const Augmentation> augmentation;  // of a config that has one
};

struct Work {  // steps [first, last) of a shuffled run
  LoaderOptions options;
  std::int64_t rows = 0;
};

using Seconds = std::chrono::duration<double>;
using Peer = std::function<double(const Work&)>;  // seconds

double seconds_since(std::chrono::steady_clock::time_point start) {
  return Seconds(std::chrono::steady_clock::now() - start).count();
}

Subject open_subject(const BenchLoaderOptions& options) {
  DataSource source{.file = options.file, .group = options.split};
  AugmentOptions augment;
  if (options.file.ends_with(".toml")) {
    const Config config = load_config(options.file, options.overrides);
    source = data_source(config.data, config.data.train);
    augment = read_augmentation(config.data);
  }
  const std::vector<std::string> files = source.file.expand();
  if (files.size() != 1)
    throw Error("{}: bench loader measures one file, and these are {}", source.file, files.size());
  Subject subject;
  subject.dataset = Dataset::open(source);
  if (!augment.steps.empty() || augment.mix.any()) {
    const bool labels = augment.mix.any() && subject.dataset->target() == TargetKind::kClass;
    subject.augmentation = std::make_shared<const Augmentation>(
        std::move(augment), *subject.dataset, labels ? subject.dataset->class_count() : 0);
  }
  const std::string path =
      source.x.starts_with('/') ? source.x : fmt::format("{}/{}", source.group, source.x);
  subject.x = std::make_unique<RowReader>(hdf5::File::open(files.front()).dataset(path),
                                          std::make_shared<const FileReader>(files.front()),
                                          subject.dataset->x_type());
  return subject;
}

// The whole file once, so that every round finds it in the page cache.
void warm(const std::string& path) {
  const FileReader file(path);
  std::vector<std::byte> block(kWarmBlock);
  for (std::uint64_t place = 0; place < file.size(); place += kWarmBlock)
    file.read_at(place,
                 std::span(block).first(std::min<std::uint64_t>(kWarmBlock, file.size() - place)));
}

double time_loader(const Subject& subject, const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  const auto loader = Loader::make(subject.dataset, work.options);
  for (std::int64_t step = work.options.first_step; step < work.options.last_step; ++step)
    for (auto shard = work.options.shards.rbegin(); shard != work.options.shards.rend(); ++shard)
      loader->fetch(step, *shard);  // the last first: one wait a step, as for a step's workers
  return seconds_since(start);
}

// The rows of each shard of each step, as the loader takes them.
std::vector<std::vector<std::int64_t>> shards_of(const Work& work) {
  const BatchPlan& plan = work.options.plan;
  std::vector<std::vector<std::int64_t>> shards;
  std::vector<std::int64_t> order;
  for (std::int64_t step = work.options.first_step; step < work.options.last_step; ++step) {
    const std::int64_t epoch = step / plan.steps_per_epoch(),
                       in_epoch = step % plan.steps_per_epoch();
    if (order.empty() || in_epoch == 0) order = epoch_order(work.options.seed, epoch, plan.rows);
    for (std::int64_t shard : work.options.shards) {
      const BatchPlan::Range range = plan.shard_rows(in_epoch, shard);
      const auto begin = order.begin() + in_epoch * plan.batch;
      shards.emplace_back(begin + range.begin, begin + range.end);
    }
  }
  return shards;
}

// Runs body(thread, item) for all items, item by item in order of who is free.
double time_threads(int threads, std::size_t items,
                    const std::function<void(int, std::size_t)>& body) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> running;
  const auto start = std::chrono::steady_clock::now();
  for (int thread = 0; thread < threads; ++thread)
    running.emplace_back([&, thread] {
      for (std::size_t item = next++; item < items; item = next++) body(thread, item);
    });
  for (std::thread& thread : running) thread.join();
  return seconds_since(start);
}

// pread of every row to the memory that a loader would use, and nothing else.
double time_pread(const Subject& subject, const Work& work) {
  const auto shards = shards_of(work);
  const hdf5::Dataset& stored = subject.x->dataset();
  const FileReader file(stored.storage_file());
  const std::size_t row_bytes =
      static_cast<std::size_t>(stored.row_elements()) * stored.type().bytes;
  const auto most = static_cast<std::size_t>(work.options.plan.max_shard_rows());
  const std::size_t cells = work.options.shards.size() * (kLookAhead + 1);
  const auto memory = std::make_unique_for_overwrite<std::byte[]>(cells * most * row_bytes);
  return time_threads(work.options.reader_threads, shards.size(), [&](int, std::size_t item) {
    std::byte* out = memory.get() + item % cells * most * row_bytes;
    for (std::int64_t row : shards[item]) {
      file.read_at(*stored.offset() + static_cast<std::uint64_t>(row) * row_bytes,
                   {out, row_bytes});
      out += row_bytes;
    }
  });
}

class Inflater {
 public:
  Inflater() {
    if (inflateInit(&stream_) != Z_OK) throw Error("zlib cannot start");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  void inflate_all(std::vector<std::byte>& stored, std::vector<std::byte>& out) {
    inflateReset(&stream_);
    stream_.next_in = reinterpret_cast<Bytef*>(stored.data());
    stream_.avail_in = static_cast<uInt>(stored.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    if (inflate(&stream_, Z_FINISH) != Z_STREAM_END) throw Error("zlib cannot inflate a chunk");
  }

 private:
  z_stream stream_{};
};

// zlib alone, on the chunks that the rows of each step lie in.
double time_zlib(const Subject& subject, const Work& work) {
  const hdf5::ChunkStore& store = subject.x->chunks()->store();
  const hdf5::ChunkGrid& grid = store.grid();
  std::size_t tiles = 1;
  for (std::size_t axis = 1; axis < grid.rank(); ++axis) tiles *= grid.chunks_along(axis);
  std::vector<std::vector<std::byte>> stored;
  const std::vector<std::vector<std::int64_t>> shards = shards_of(work);
  const std::size_t of_step = work.options.shards.size();
  for (std::size_t first = 0; first < shards.size(); first += of_step) {
    std::set<std::size_t> bands;
    for (std::size_t shard = first; shard < first + of_step; ++shard)
      for (std::int64_t row : shards[shard])
        bands.insert(static_cast<std::size_t>(row) / grid.chunk[0]);
    for (std::size_t band : bands)
      for (std::size_t tile = 0; tile < tiles; ++tile)
        store.read_stored(band * tiles + tile, stored.emplace_back());
  }
  const auto threads = static_cast<std::size_t>(work.options.reader_threads);
  std::vector<Inflater> inflaters(threads);
  std::vector<std::vector<std::byte>> out(threads,
                                          std::vector<std::byte>(store.chunk_bytes() + 64));
  return time_threads(work.options.reader_threads, stored.size(), [&](int thread, std::size_t i) {
    const auto own = static_cast<std::size_t>(thread);
    if (!stored[i].empty()) inflaters[own].inflate_all(stored[i], out[own]);
  });
}

bool deflated(const RowReader& x) {
  if (x.chunks() == nullptr) return false;
  const auto& filters = x.dataset().chunk_storage()->filters;
  return std::any_of(filters.begin(), filters.end(),
                     [](const hdf5::Filter& filter) { return filter.name == "deflate"; });
}

}  // namespace

int bench_loader(const BenchLoaderOptions& options) {
  const Subject subject = open_subject(options);
  const RowReader& x = *subject.x;
  const bool unpacks = deflated(x);
  std::string peer_name = unpacks ? "zlib alone" : "plain pread";
  Peer peer;
  if (unpacks)
    peer = [&](const Work& work) { return time_zlib(subject, work); };
  else if (x.dataset().offset())
    peer = [&](const Work& work) { return time_pread(subject, work); };

  Work work;
  LoaderOptions& loader = work.options;
  loader.plan = {.rows = subject.dataset->rows(), .batch = options.batch, .shards = kShards};
  loader.seed = 1;
  for (std::int64_t shard = 0; shard < kShards; ++shard) loader.shards.push_back(shard);
  loader.reader_threads = options.threads > 0
                              ? options.threads
                              : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  loader.look_ahead = kLookAhead;
  const auto row_bytes = static_cast<double>(x.row_bytes());
  const double wanted = (unpacks ? kRoundUnpacked : kRoundBytes) / row_bytes;
  const auto steps = std::clamp<std::int64_t>(static_cast<std::int64_t>(wanted) / options.batch, 1,
                                              loader.plan.steps_per_epoch());
  warm(x.dataset().storage_file());

  std::vector<double> ours, theirs;
  for (int round = -1; round < options.rounds; ++round) {  // the first warms up
    loader.first_step = 0;
    loader.last_step = steps;
    loader.seed = static_cast<std::uint64_t>(round + 2);
    work.rows = 0;
    for (std::int64_t step = 0; step < steps; ++step) work.rows += loader.plan.batch_rows(step);
    const auto rows = static_cast<double>(work.rows);
    const double our_rate = rows / time_loader(subject, work);
    const double their_rate = peer ? rows / peer(work) : 0;
    if (round < 0) continue;
    ours.push_back(our_rate);
    theirs.push_back(their_rate);
  }

  fmt::print("{}: {} rows of {} {}, {:.1f} KiB each; {}\n", x.where(), subject.dataset->rows(),
             subject.dataset->sample_shape().to_string(), name_of(x.type()), row_bytes / 1024,
             subject.dataset->access());
  fmt::print("{} threads, batch {}, shuffled, warm; medians of {} rounds of {} rows, by turns\n",
             loader.reader_threads, options.batch, options.rounds, work.rows);
  nlohmann::ordered_json json{{"file", x.dataset().file()}, {"access", subject.dataset->access()},
                              {"row_bytes", x.row_bytes()}, {"threads", loader.reader_threads},
                              {"batch", options.batch},     {"rounds", options.rounds}};
  const auto report = [&](const std::string& name, const std::vector<double>& rates) {
    const auto [least, most] = std::minmax_element(rates.begin(), rates.end());
    fmt::print("  {:<12} {:>12.0f} rows/s  {:>7.3f} GB/s   ({:.0f} to {:.0f} rows/s)\n", name,
               median(rates), median(rates) * row_bytes / 1e9, *least, *most);
    json[name] = {{"rows_per_second", median(rates)},
                  {"gb_per_second", median(rates) * row_bytes / 1e9},
                  {"min", *least},
                  {"max", *most}};
  };
  report("loader", ours);
  if (peer) {
    report(peer_name, theirs);
    fmt::print("  the loader reaches {:.1f} % of {}\n", 100 * median(ours) / median(theirs),
               peer_name);
    json["share"] = median(ours) / median(theirs);
  } else {
    fmt::print("  (no plain way to read this layout stands beside it)\n");
  }
  if (subject.augmentation) {
    const double time =
        microseconds_to_augment(*subject.dataset, *subject.augmentation, options.rounds);
    fmt::print("  data.augment: {:.2f} us a sample on one thread, beside the above\n", time);
    json["augment_microseconds"] = time;
  }
  if (!options.json.empty()) write_text(options.json, json.dump(1) + "\n");
  return 0;
}

}  // namespace lockstep
