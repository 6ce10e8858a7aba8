// What the cases of max pooling and of adaptive max pooling share. A `Windows` has x() and y(), and
// for_each_place(windows, visit) calls visit(index in y, place, index in x) for every place of
// every window.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "kernels/cases/op_case.h"

namespace lockstep::cases {

struct Maxima {
  Doubles value, place;
  std::vector<std::size_t> source;  // index in x
};

template <typename Windows>
Maxima maxima_of(const Windows& windows, const Doubles& x) {
  const auto outputs = static_cast<std::size_t>(windows.y().elements());
  Maxima y{Doubles(outputs, -std::numeric_limits<double>::infinity()), Doubles(outputs, -1),
           std::vector<std::size_t>(outputs)};
  for_each_place(windows, [&](std::size_t yi, std::int64_t place, std::size_t xi) {
    if (y.place[yi] >= 0 && !(x[xi] > y.value[yi])) return;
    y.value[yi] = x[xi];
    y.place[yi] = static_cast<double>(place);
    y.source[yi] = xi;
  });
  return y;
}

// Arguments, reference and gradient check of a forward or backward case; `places` is the name of
// the tensor that holds the maxima's places.
template <typename Windows>
void set_max_forward(const Windows& windows, const Fill& fill, const std::string& places,
                     DType type, OpCase& c) {
  c.arguments = {input("x", windows.x(), fill), output("y", windows.y()),
                 output(places, windows.y(), type)};
  c.reference = [=](const Values& in, Results& out) {
    const Maxima y = maxima_of(windows, in["x"]);
    out["y"].assign(y.value.begin(), y.value.end());
    out[places].assign(y.place.begin(), y.place.end());
  };
}

template <typename Windows>
void set_max_backward(const Windows& windows, const std::string& places, DType type, OpCase& c) {
  const Fill of_x = [=](Random&, const Values& earlier, Doubles& values) {
    values = maxima_of(windows, earlier["x"]).place;
  };
  c.arguments = {hidden("x", windows.x()), input("dy", windows.y()),
                 input(places, windows.y(), of_x, type), output("dx", windows.x())};
  c.reference = [=](const Values& in, Results& out) {
    const Maxima y = maxima_of(windows, in["x"]);
    for (std::size_t i = 0; i < y.source.size(); ++i) out["dx"][y.source[i]] += in["dy"][i];
  };
  const auto kink = [=](const Values& in, std::size_t index, double reach) {
    const Doubles& x = in["x"];
    const Maxima y = maxima_of(windows, x);
    bool near = false;  // within reach of its window's maximum, or the maximum of a close race
    for_each_place(windows, [&](std::size_t yi, std::int64_t, std::size_t xi) {
      const bool concerns = xi == index || y.source[yi] == index;
      near |= concerns && xi != y.source[yi] && y.value[yi] - x[xi] <= reach;
    });
    return near;
  };
  c.derivatives = {{"dx", "x",
                    [=](const Values& in) {
                      const Maxima y = maxima_of(windows, in["x"]);
                      return dot(in["dy"], Reals(y.value.begin(), y.value.end()));
                    },
                    kink}};
}

}  // namespace lockstep::cases
