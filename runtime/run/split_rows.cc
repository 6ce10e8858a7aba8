#include "runtime/run/split_rows.h"

#include <cstring>
#include <string>
#include <vector>

namespace lockstep {

namespace {

std::size_t row_bytes(const Tensor& tensor) {
  return tensor.bytes() / static_cast<std::size_t>(tensor.rows());
}

// visit(address, bytes) for the rows of each of the rank's shares, step after step.
template <typename Visit>
void for_rows_of(int rank, Team& team, const BatchPlan& plan, const Tensor& all,
                 const Visit& visit) {
  const ShardRange range = team.plan().of_rank(rank);
  for (std::int64_t step = 0; step < plan.steps_per_epoch(); ++step) {
    const std::int64_t begin = plan.shard_rows(step, range.begin).begin;
    const std::int64_t end = plan.shard_rows(step, range.end - 1).end;
    visit(all.raw() + static_cast<std::size_t>(step * plan.batch + begin) * row_bytes(all),
          static_cast<std::size_t>(end - begin) * row_bytes(all));
  }
}

}  // namespace

BatchPlan split_plan(const Team& team, const Dataset& data, std::int64_t batch) {
  return {data.rows(), batch, team.plan().shards(), false};
}

std::int64_t first_row(const BatchPlan& plan, std::int64_t step, std::int64_t shard) {
  return step * plan.batch + plan.shard_rows(step, shard).begin;
}

void put_rows(const Tensor& all, std::int64_t first, const Tensor& rows) {
  std::memcpy(all.raw() + static_cast<std::size_t>(first) * row_bytes(all), rows.raw(),
              rows.bytes());
}

void gather_rows(Team& team, const BatchPlan& plan, const Tensor& all) {
  if (team.plan().ranks() == 1) return;
  std::string mine;
  for_rows_of(team.communicator().rank(), team, plan, all, [&](std::byte* rows, std::size_t bytes) {
    mine.append(reinterpret_cast<const char*>(rows), bytes);
  });
  const std::vector<std::string> tables = team.communicator().all_gather(mine);
  for (int rank = 0; rank < team.plan().ranks(); ++rank) {
    const char* from = tables[static_cast<std::size_t>(rank)].data();
    for_rows_of(rank, team, plan, all, [&](std::byte* rows, std::size_t bytes) {
      std::memcpy(rows, from, bytes);
      from += bytes;
    });
  }
}

}  // namespace lockstep
