#include "runtime/run/checkpointing.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/run/library_plans.h"

namespace lockstep {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kStateFormat = 1;
constexpr const char* kWeights = "weights/";

Json scalars_to_json(const ShardScalars& sums) {
  return {
      {"loss", sums.loss}, {"weight", sums.weight}, {"rows", sums.rows}, {"metrics", sums.metrics}};
}

ShardScalars scalars_from_json(const Json& json) {
  ShardScalars sums;
  sums.loss = json.at("loss");
  sums.weight = json.at("weight");
  sums.rows = json.at("rows");
  sums.metrics = json.at("metrics");
  return sums;
}

// In a flat buffer of the host's, whatever the device: a checkpoint is written beside its work.
Tensor param_in(const float* flat, const Param& param) {
  auto* const bytes = reinterpret_cast<std::byte*>(const_cast<float*>(flat) + param.offset);
  return Tensor({std::shared_ptr<void>(), bytes}, {param.elements}, DType::kFloat32, nullptr);
}

enum class Whose { kAll, kTrained };

bool belongs(const Param& param, Whose whose) {
  return whose == Whose::kAll || param.trains;
}

// Fills a flat buffer with the tensors called prefix + parameter, which must be there, in their
// shapes, and no others of that prefix.
void load_group(const std::vector<NamedTensor>& tensors, const std::string& path,
                const std::string& prefix, Whose whose, const ParamSet& params, Backend& backend,
                float* flat) {
  std::map<std::string, const Tensor*> found;
  for (const NamedTensor& tensor : tensors)
    if (tensor.name.starts_with(prefix)) found[tensor.name.substr(prefix.size())] = &tensor.tensor;
  std::string missing;
  for (const Param& param : params.all()) {
    if (!belongs(param, whose)) continue;
    const auto entry = found.find(param.name);
    if (entry == found.end()) {
      missing += " " + param.name;
      continue;
    }
    if (entry->second->shape() != param.spec.file_shape)
      throw Error(
          "{}: '{}{}' has shape {}, but this network's has {}: resume with the network "
          "that was trained",
          path, prefix, param.name, entry->second->shape().to_string(),
          param.spec.file_shape.to_string());
    Tensor value = param_in(flat, param);
    backend.from_file_order(param.spec.layout, param.spec.file_shape, *entry->second, value);
    found.erase(entry);
  }
  std::string extra;
  for (const auto& [name, tensor] : found) extra += " " + name;
  if (!missing.empty() || !extra.empty())
    throw Error("{}: this is another network or optimizer: under '{}'{}{}{}{}", path, prefix,
                missing.empty() ? "" : " it lacks", missing, extra.empty() ? "" : " it has besides",
                extra);
}

std::vector<NamedTensor> named_group(const std::string& prefix, Whose whose, const ParamSet& params,
                                     Backend& backend, const float* flat) {
  std::vector<NamedTensor> tensors;
  for (const Param& param : params.all()) {
    if (!belongs(param, whose)) continue;
    Tensor file = host_tensor(param.spec.file_shape, DType::kFloat32);
    backend.to_file_order(param.spec.layout, param.spec.file_shape, param_in(flat, param), file);
    tensors.push_back({prefix + param.name, file});
  }
  return tensors;
}

}  // namespace

std::string state_to_json(const TrainingState& state) {
  Json declared{{"epoch_sums", scalars_to_json(state.declared.epoch_sums)},
                {"best_metric", nullptr},
                {"best_step", state.declared.best_step},
                {"evaluations_without_gain", state.declared.evaluations_without_gain}};
  if (state.declared.best_metric) declared["best_metric"] = *state.declared.best_metric;
  if (!state.declared.phase_starts.empty()) declared["phase_starts"] = state.declared.phase_starts;
  Json json{{"format", kStateFormat},
            {"step", state.step},
            {"config", state.identity.config},
            {"data_checksum", state.identity.data_checksum},
            {"arithmetic_probe", state.identity.probe},
            {"declared", declared}};
  if (!state.identity.gpu.empty()) {
    json["gpu"] = state.identity.gpu;
    Json choices = Json::array();
    for (const LibraryPlan& plan : state.identity.plans)
      choices.push_back({plan.question, plan.choice});
    json["plans"] = {{"digest", plans_digest(state.identity.gpu, state.identity.plans)},
                     {"choices", std::move(choices)}};
  }
  return json.dump(1);
}

TrainingState state_from_json(const std::string& text, const std::string& path) {
  try {
    const Json json = Json::parse(text);
    if (const int format = json.at("format"); format != kStateFormat)
      throw Error("{}: state format {}, but this program reads format {}", path, format,
                  kStateFormat);
    TrainingState state;
    state.step = json.at("step");
    state.identity = {json.at("config"), json.at("data_checksum"), json.at("arithmetic_probe"),
                      json.value("gpu", "")};
    if (json.contains("plans"))
      for (const Json& plan : json.at("plans").at("choices"))
        state.identity.plans.push_back({plan.at(0), plan.at(1)});
    const Json& declared = json.at("declared");
    state.declared.epoch_sums = scalars_from_json(declared.at("epoch_sums"));
    if (!declared.at("best_metric").is_null())
      state.declared.best_metric = declared.at("best_metric").get<double>();
    state.declared.best_step = declared.at("best_step");
    state.declared.evaluations_without_gain = declared.at("evaluations_without_gain");
    if (declared.contains("phase_starts"))
      declared.at("phase_starts").get_to(state.declared.phase_starts);
    return state;
  } catch (const nlohmann::json::exception& error) {
    throw Error("{}: the checkpoint's state cannot be read: {}", path, error.what());
  }
}

std::vector<NamedTensor> checkpoint_tensors(const Snapshot& snapshot, const ParamSet& params,
                                            const std::vector<std::string>& state_names,
                                            Backend& backend) {
  std::vector<NamedTensor> tensors =
      named_group(kWeights, Whose::kAll, params, backend, snapshot.values.data());
  for (std::size_t i = 0; i < state_names.size(); ++i)
    std::ranges::move(named_group(state_names[i] + "/", Whose::kTrained, params, backend,
                                  snapshot.states[i].data()),
                      std::back_inserter(tensors));
  return tensors;
}

std::vector<NamedTensor> for_next_phase(std::vector<NamedTensor> tensors, const ParamSet& params,
                                        const std::vector<std::string>& state_names) {
  std::map<std::string, Tensor> found;
  for (NamedTensor& tensor : tensors) found[tensor.name] = tensor.tensor;
  std::vector<NamedTensor> result;
  for (const Param& param : params.all()) {
    result.push_back({kWeights + param.name, found.at(kWeights + param.name)});
    if (!param.trains) continue;
    for (const std::string& state : state_names) {
      Tensor& values = found[state + "/" + param.name];
      if (!values && state == kAverageState) values = found.at(kWeights + param.name);
      if (!values) {
        values = host_tensor(param.spec.file_shape, DType::kFloat32);
        std::ranges::fill(values.span<float>(), 0.0f);
      }
      result.push_back({state + "/" + param.name, values});
    }
  }
  return result;
}

std::vector<NamedTensor> trained_weights(const std::vector<NamedTensor>& tensors) {
  const std::string prefix = kWeights, averages = std::string(kAverageState) + "/";
  std::map<std::string, Tensor> averaged;
  for (const auto& [name, tensor] : tensors)
    if (name.starts_with(averages)) averaged[name.substr(averages.size())] = tensor;
  std::vector<NamedTensor> weights;
  for (const auto& [name, tensor] : tensors) {
    if (!name.starts_with(prefix)) continue;
    const std::string own = name.substr(prefix.size());
    const auto average = averaged.find(own);
    weights.push_back({own, average == averaged.end() ? tensor : average->second});
  }
  return weights;
}

void load_weights(const Checkpoint& checkpoint, const std::string& path, const ParamSet& params,
                  Backend& backend, float* values) {
  load_group(trained_weights(checkpoint.tensors), path, "", Whose::kAll, params, backend, values);
}

void load_tensors(const Checkpoint& checkpoint, const std::string& path, const ParamSet& params,
                  const std::vector<std::string>& state_names, Backend& backend, float* values,
                  const std::vector<float*>& states) {
  const std::vector<NamedTensor>& tensors = checkpoint.tensors;
  load_group(tensors, path, kWeights, Whose::kAll, params, backend, values);
  std::size_t expected = params.all().size();
  for (std::size_t i = 0; i < state_names.size(); ++i) {
    load_group(tensors, path, state_names[i] + "/", Whose::kTrained, params, backend, states[i]);
    expected += static_cast<std::size_t>(std::ranges::count_if(params.all(), &Param::trains));
  }
  if (tensors.size() != expected)
    throw Error(
        "{}: {} tensors, but this network and optimizer have {}: resume with those that "
        "wrote it",
        path, tensors.size(), expected);
}

CheckpointWriter::CheckpointWriter(std::string folder, std::int64_t keep, const ParamSet& params,
                                   std::vector<std::string> state_names, Backend& backend)
    : folder_(std::move(folder)),
      keep_(keep),
      params_(params),
      state_names_(std::move(state_names)),
      backend_(backend) {}

CheckpointWriter::~CheckpointWriter() {
  if (pending_.valid()) pending_.wait();
}

void CheckpointWriter::write(Snapshot snapshot, const TrainingState& state) {
  wait();
  pending_ = std::async(std::launch::async, [this, snapshot = std::move(snapshot), state] {
    write_now(snapshot, state);
  });
}

void CheckpointWriter::check() {
  if (pending_.valid() && pending_.wait_for(std::chrono::seconds(0)) == std::future_status::ready)
    pending_.get();
}

void CheckpointWriter::wait() {
  if (pending_.valid()) pending_.get();
}

void CheckpointWriter::write_now(const Snapshot& snapshot, const TrainingState& state) {
  const std::vector<NamedTensor> tensors =
      checkpoint_tensors(snapshot, params_, state_names_, backend_);
  write_checkpoint(folder_ + "/" + checkpoint_name(state.step), state_to_json(state), tensors);
  remove_old(state.step, state.declared.best_step);
}

void CheckpointWriter::remove_old(std::int64_t newest, std::int64_t best) const {
  std::int64_t kept = 0;
  for (const CheckpointFile& file : list_checkpoints(folder_)) {
    if (file.step > newest || kept++ < keep_ || file.step == best) continue;
    std::error_code error;
    if (!std::filesystem::remove(file.path, error) && error)
      throw Error("{}: cannot remove the old checkpoint: {}", file.path, error.message());
  }
}

std::optional<FoundCheckpoint> latest_checkpoint(const std::string& folder) {
  FoundCheckpoint found;
  for (const CheckpointFile& file : list_checkpoints(folder)) {
    try {
      found.contents = read_checkpoint(file.path);
      found.path = file.path;
      return found;
    } catch (const Error& error) {
      found.refused.push_back(error.what());
    }
  }
  if (found.refused.empty()) return std::nullopt;
  throw Error("{}: no checkpoint to resume from; refused:\n  {}", folder,
              fmt::join(found.refused, "\n  "));
}

}  // namespace lockstep
