#include "runtime/communication/linked_sum.h"

#include <algorithm>

#include "kernels/core/memory_use.h"

namespace lockstep {

namespace {

// Of the bfloat16 numbers of a part: NCCL moves 16 bytes at a time.
constexpr std::int64_t kPartMultiple = 64;
constexpr const char* kGradients = "sent its gradients";

}  // namespace

LinkedSum::LinkedSum(Communicator& communicator, std::shared_ptr<DeviceLink> link,
                     const ExchangePlan& plan, const ShardPlan& shards, Backend& backend)
    : LinkedExchange(communicator, std::move(link), plan, shards, backend, 0) {
  for (int b = 0; b < buckets(); ++b)
    nodes(b).push_back({part(gradients_.front(), bucket_range(b)), shards.shards()});
}

Tensor LinkedSum::own_sum(int bucket) {
  const ElementRange range = bucket_range(bucket);
  Tensor sum = part(gradients_.front(), range);
  for (std::size_t slot = 1; slot < subtrees_.size(); ++slot)
    backend_.add(link_stream(), sum, part(gradients_[slot], range), sum);
  return sum;
}

void LinkedSum::start(int bucket) {
  Tensor sum = own_sum(bucket);
  queue({kGradients, bucket, step()},
        [&] { link_->all_reduce(link_stream(), sum.raw(), sum.elements(), DType::kFloat32); });
}

LinkedBFloat16Sum::LinkedBFloat16Sum(Communicator& communicator, std::shared_ptr<DeviceLink> link,
                                     const ExchangePlan& plan, const ShardPlan& shards,
                                     Backend& backend)
    : LinkedSum(communicator, std::move(link), plan, shards, backend) {
  std::int64_t longest = 0;
  for (int b = 0; b < buckets(); ++b) longest = std::max(longest, part_elements(b) * ranks_);
  const MemoryUse use("gradients of all ranks");
  wire_ = backend.zeros({longest}, DType::kBFloat16);  // nobody reads sums behind a bucket's end
  received_ = backend.zeros({longest}, DType::kBFloat16);
  rows_ = backend.empty({longest});
}

std::int64_t LinkedBFloat16Sum::part_elements(int bucket) const {
  const std::int64_t share = (bucket_range(bucket).count() + ranks_ - 1) / ranks_;
  return (share + kPartMultiple - 1) / kPartMultiple * kPartMultiple;
}

void LinkedBFloat16Sum::start(int bucket) {
  Tensor sum = own_sum(bucket);
  if (ranks_ == 1) return;
  const std::int64_t length = part_elements(bucket), all = length * ranks_;
  const auto bytes = static_cast<std::size_t>(length) * sizeof(std::uint16_t);
  Tensor wire = wire_.slice(0, sum.elements());
  backend_.convert(link_stream(), sum, wire);
  queue({kGradients, bucket, step()},
        [&] { link_->all_to_all(link_stream(), wire_.raw(), received_.raw(), bytes); });

  Tensor rows = rows_.slice(0, all), total = rows.slice(0, length);
  backend_.convert(link_stream(), received_.slice(0, all), rows);
  for (int rank = 1; rank < ranks_; ++rank)
    backend_.add(link_stream(), total, rows.slice(rank * length, (rank + 1) * length), total);
  Tensor own = wire_.slice(rank_ * length, (rank_ + 1) * length);
  backend_.convert(link_stream(), total, own);
  queue({kGradients, bucket, step()},
        [&] { link_->all_gather(link_stream(), own.raw(), wire_.raw(), bytes); });
  backend_.convert(link_stream(), wire, sum);
}

}  // namespace lockstep
