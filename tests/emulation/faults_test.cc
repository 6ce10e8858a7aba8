// Values that a kernel cannot use: the stream throws when the host waits for it, names the first of
// them whatever the order of the threads, and works on.
#include <gtest/gtest.h>

#include "tests/emulation/emulated_cases.h"
#include "tests/emulation/machine.h"
#include "tests/error_of.h"

namespace lockstep {
namespace {

Tensor on_device(Backend& backend, const Shape& shape, std::initializer_list<std::int64_t> values) {
  Tensor tensor = backend.empty(shape, DType::kInt64);
  Tensor host = backend.empty_pinned(shape, DType::kInt64);
  std::ranges::copy(values, host.data<std::int64_t>());
  backend.copy(host, tensor);
  return tensor;
}

TEST(FaultTest, AnIdOutsideTheTableIsNamedWithItsSampleAndPosition) {
  for (const auto order : {emulation::Order::kForward, emulation::Order::kReverse}) {
    emulation::options().order = order;
    const auto backend = cases::emulated_backend();
    const auto stream = backend->make_stream(0);
    const Tensor samples = on_device(*backend, {3}, {70, 81, 92});
    const Tensor table = backend->zeros({5, 4}, DType::kFloat32);
    Tensor y = backend->empty({3, 2, 4}, DType::kFloat32);
    const Tensor ids = on_device(*backend, {3, 2}, {0, 4, 1, 5, -3, 2});
    EXPECT_EQ(
        error_of([&] {
          backend->embedding_forward(*stream, samples, ids, table, y);
          stream->synchronize();
        }),
        "sample 81 of the split holds the id 5 at position 1, but the embedding's table has 5 "
        "rows, 0 to 4: give it more rows or mend the data");
    const Tensor good = on_device(*backend, {3, 2}, {0, 4, 1, 3, 3, 2});
    backend->embedding_forward(*stream, samples, good, table, y);
    stream->synchronize();
  }
}

}  // namespace
}  // namespace lockstep
