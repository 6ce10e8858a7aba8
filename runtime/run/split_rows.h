// Every row of a split once, in file order, over all workers of all ranks; and rows that single
// shards gave, brought together on every rank.
#pragma once

#include <memory>
#include <numeric>

#include "io/loading/loader.h"
#include "runtime/communication/node_dataset.h"
#include "runtime/step/team.h"

namespace lockstep {

BatchPlan split_plan(const Team& team, const Dataset& data, std::int64_t batch);
// Where a shard's rows stand in the file.
std::int64_t first_row(const BatchPlan& plan, std::int64_t step, std::int64_t shard);

// Calls visit(worker, step, shard, batch) for every shard of this rank, on the worker's stream.
template <typename Visit>
void for_each_shard(Team& team, const BatchPlan& plan, const NodeDataset& data,
                    const Visit& visit) {
  LoaderOptions options;
  options.plan = plan;
  options.shuffle = false;
  options.resident = data.resident;
  options.last_step = plan.steps_per_epoch();
  options.shards.resize(static_cast<std::size_t>(team.shards().count()));
  std::iota(options.shards.begin(), options.shards.end(), team.shards().begin);
  const std::unique_ptr<Loader> loader = Loader::make(data.data, options);
  team.run([&](Worker& worker) {
    for (std::int64_t step = 0; step < plan.steps_per_epoch(); ++step)
      for (std::int64_t shard = worker.shards.begin; shard < worker.shards.end; ++shard)
        visit(worker, step, shard, loader->fetch(step, shard));
  });
}

// Of host tensors: `rows` become the rows of `all` from `first` on.
void put_rows(const Tensor& all, std::int64_t first, const Tensor& rows);
// A collective: the rows of the other ranks' shards come in.
void gather_rows(Team& team, const BatchPlan& plan, const Tensor& all);

}  // namespace lockstep
