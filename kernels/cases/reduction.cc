// The tree of gradients, blocks of the norm, and clipping's factor.
#include <algorithm>
#include <limits>

#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

using Floats = std::vector<float>;

std::string name_of_node(std::size_t i) {
  return fmt::format("node{}", i);
}

// The tree over the leaves [begin, begin + size), taken from the top: a range that is one node is
// that node; any other is the sum of its halves. Exactly rounded float32 additions.
class Tree {
 public:
  Tree(std::span<const std::int64_t> sizes, const Values& in) {
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < sizes.size(); begin += sizes[i++])
      nodes_[{begin, sizes[i]}] = Floats(in[name_of_node(i)].begin(), in[name_of_node(i)].end());
  }
  Floats sum(std::int64_t begin, std::int64_t size) const {
    if (const auto node = nodes_.find({begin, size}); node != nodes_.end()) return node->second;
    LOCKSTEP_CHECK(size > 1, "leaf {} belongs to no node", begin);
    Floats total = sum(begin, size / 2);
    const Floats right = sum(begin + size / 2, size / 2);
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += right[i];
    return total;
  }

 private:
  std::map<std::pair<std::int64_t, std::int64_t>, Floats> nodes_;
};

OpCase tree_case(const std::vector<std::int64_t>& sizes, std::int64_t elements, float divisor) {
  OpCase c;
  c.operation = "tree_sum";
  c.label = fmt::format("{} nodes of {} by {}", fmt::join(sizes, "+"), elements, divisor);
  c.bytes = 4.0 * static_cast<double>(elements) * static_cast<double>(sizes.size() + 1);
  c.use = elements > 50'000 ? Use::kBoth : Use::kTest;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    c.arguments.push_back(input(name_of_node(i), {elements}));
    c.in_place.push_back({"y", name_of_node(i)});
  }
  c.arguments.push_back(output("y", {elements}));
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    std::vector<TreeNode> nodes;
    for (std::size_t i = 0; i < sizes.size(); ++i) nodes.push_back({t[name_of_node(i)], sizes[i]});
    b.tree_sum(s, nodes, divisor, t["y"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    std::int64_t leaves = 0;
    for (const std::int64_t size : sizes) leaves += size;
    const Floats total = Tree(sizes, in).sum(0, leaves);
    for (std::size_t i = 0; i < total.size(); ++i) out["y"][i] = total[i] / divisor;
  };
  return c;
}

OpCase norms_case(std::int64_t elements, const std::string& what = "", double odd_one = 0) {
  OpCase c;
  c.operation = "squared_norms";
  c.label = fmt::format("{}{}", elements, what);
  c.tolerance = 16;
  c.bytes = 4.0 * static_cast<double>(elements);
  c.use = elements > 50'000 ? Use::kBoth : Use::kTest;
  const Fill fill = [=](Random& random, const Values& earlier, Doubles& values) {
    normal()(random, earlier, values);
    if (odd_one != 0) values[values.size() * 2 / 3] = odd_one;
  };
  const std::int64_t blocks = (elements + kBlockElements - 1) / kBlockElements;
  c.arguments = {input("x", {elements}, fill), output("norms", {blocks}, DType::kFloat64)};
  c.run = [](Backend& b, Stream& s, Tensors& t) { b.squared_norms(s, t["x"], t["norms"]); };
  c.reference = [](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["x"].size(); ++i)
      out["norms"][i / static_cast<std::size_t>(kBlockElements)] += in["x"][i] * in["x"][i];
  };
  return c;
}

// Not finite in, not finite out: which of infinity and NaN comes out is the backend's choice.
OpCase poisoned_norms_case(double odd_one) {
  OpCase c = norms_case(10'000, fmt::format(" one is {}", odd_one), odd_one);
  c.arguments.push_back(output("finite", {3}));
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.squared_norms(s, t["x"], t["norms"]);
    const Tensor host = t["norms"].to_host();
    Tensor finite = b.empty_pinned({3}, DType::kFloat32);
    std::ranges::transform(host.span<double>(), finite.data<float>(),
                           [](double norm) { return std::isfinite(norm) ? 1.0f : 0.0f; });
    b.copy(finite, t["finite"]);
    b.copy(b.zeros({3}, DType::kFloat64), t["norms"]);
  };
  c.reference = [](const Values&, Results& out) {
    out["finite"] = {1.0, 0.0, 1.0};  // element 6,666 lies in the second block
    out["norms"] = {0.0, 0.0, 0.0};
  };
  c.use = Use::kTest;
  return c;
}

OpCase scale_case(std::int64_t elements) {
  OpCase c;
  c.operation = "scale";
  c.label = fmt::format("{}", elements);
  c.bytes = 8.0 * static_cast<double>(elements);
  c.use = elements > 50'000 ? Use::kBoth : Use::kTest;
  c.arguments = {state("x", {elements})};
  c.run = [](Backend& b, Stream& s, Tensors& t) { b.scale(s, 0.37f, t["x"]); };
  c.reference = [](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["x"].size(); ++i)
      out["x"][i] = static_cast<float>(in["x"][i]) * 0.37f;
  };
  return c;
}

}  // namespace

OpCases reduction_cases() {
  OpCases cases;
  const std::vector<std::vector<std::int64_t>> trees = {{1},
                                                        {4},
                                                        {1, 1},
                                                        {1, 1, 2},
                                                        {2, 1, 1, 4, 8},
                                                        {1, 1, 2, 4, 4, 2, 1, 1},
                                                        {1, 1, 1, 1, 1, 1, 1, 1},
                                                        {4, 2, 1, 1}};
  for (const auto& sizes : trees)
    for (const std::int64_t elements : {0, 1, 7, 33, 1000})
      cases.push_back(tree_case(sizes, elements, elements == 33 ? 100.0f : 3.0f));
  cases.push_back(tree_case({1, 1, 1, 1, 1, 1, 1, 1}, 200'000, 128));
  for (const std::int64_t elements : {0, 1, 7, 31, 100, 4095, 4096, 4097, 10'000, 1'000'000})
    cases.push_back(norms_case(elements));
  for (const double odd_one : {INFINITY, -INFINITY, NAN})
    cases.push_back(poisoned_norms_case(odd_one));
  for (const std::int64_t elements : {0, 1, 13, 100, 200'000})
    cases.push_back(scale_case(elements));
  return cases;
}

}  // namespace lockstep::cases
