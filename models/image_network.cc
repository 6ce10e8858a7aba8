#include "models/image_network.h"

#include "models/layers/dropout.h"
#include "runtime/run/session.h"

namespace lockstep {

namespace {

double read_rate(const ModelTable& keys, const std::string& key) {
  const double rate = keys.get<double>(key, 0.0);
  if (!(rate >= 0 && rate < 1))
    throw Error("{}: model.{} must lie in [0, 1), not {}", place_of(keys, key), key, rate);
  return rate;
}

// 0: not given.
std::int64_t read_count(const ModelTable& keys, const std::string& key) {
  if (!keys.has(key)) return 0;
  const auto count = keys.require<std::int64_t>(key);
  if (count < 1) throw Error("{}: model.{} is {}, not 1 or more", place_of(keys, key), key, count);
  return count;
}

}  // namespace

ImageKeys begin_image_network(Sequential& network, const ModelTable& keys,
                              const NetworkInput& input, const std::string& name) {
  ImageKeys result;
  result.drop_rate = read_rate(keys, "drop_rate");
  result.drop_path = read_rate(keys, "drop_path");
  const std::int64_t classes = read_count(keys, "num_classes");
  const std::int64_t channels = read_count(keys, "in_channels");
  const std::int64_t size = read_count(keys, "image_size");
  add_image_input(network, input, name);

  const std::int64_t data_channels = input.sample.rank() == 3 ? input.sample[2] : 1;
  if (classes != 0 && classes != input.outputs)
    throw Error(
        "{}: model.num_classes = {}, but the data and the loss, or model.outputs, ask for {} "
        "outputs; leave the key out (training makes the head of model.weights anew), or give the "
        "data that it was meant for",
        place_of(keys, "num_classes"), classes, input.outputs);
  if (channels != 0 && channels != data_channels)
    throw Error("{}: model.in_channels = {}, but a sample of the data is {}, with {} channel{}",
                place_of(keys, "in_channels"), channels, input.sample.to_string(), data_channels,
                data_channels == 1 ? "" : "s");
  if (size != 0 && (size != input.sample[0] || size != input.sample[1]))
    throw Error("{}: model.image_size = {}, but the data's images are {} x {}",
                place_of(keys, "image_size"), size, input.sample[0], input.sample[1]);
  return result;
}

std::optional<NetworkInput> input_of_keys(const ModelTable& keys) {
  const std::int64_t classes = given_count(keys, "num_classes");
  const std::int64_t channels = given_count(keys, "in_channels");
  const std::int64_t size = given_count(keys, "image_size");
  if (classes == 0 || size == 0) return {};
  return NetworkInput{{size, size, channels == 0 ? 3 : channels}, classes};
}

Conv2dOptions image_conv(std::int64_t channels, std::int64_t kernel, std::int64_t stride,
                         std::int64_t groups) {
  Conv2dOptions options = Conv2dOptions::square(channels, kernel, kernel / 2, stride);
  options.groups = groups;
  options.bias = false;
  options.weight_values = kaiming_normal_fan_out;
  return options;
}

void add_drop_rate(Sequential& network, double drop_rate) {
  if (drop_rate > 0) network.add_named<Dropout>("drop", drop_rate);
}

}  // namespace lockstep
