#include "runtime/run/phase_plan.h"

#include <algorithm>
#include <map>

#include "runtime/config/parameter_groups.h"
#include "runtime/step/name_patterns.h"

namespace lockstep {

namespace {

std::string layer_of(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos ? "" : name.substr(0, dot);
}

// The words "head" and "all" as the patterns that they stand for.
std::vector<std::string> resolved(const Phase& phase, const ParamSet& params,
                                  const HeadFinder& head) {
  std::vector<std::string> patterns;
  for (const std::string& word : phase.train) {
    std::optional<std::string> scope = word;
    if (word == kTrainHead) scope = head(params);
    if (!scope)
      throw Error("{}: the network has no linear layer, hence no \"head\"; name what trains",
                  phase.where);
    const bool all = word == kTrainAll || scope->empty();  // the network may be its head alone
    patterns.push_back(all ? "*" : *scope);
    if (!all) check_patterns({*scope}, phase.where, params);
  }
  return patterns;
}

std::set<std::string> frozen_names(const Phase& phase, const std::vector<std::string>& patterns,
                                   const ParamSet& params) {
  std::set<std::string> frozen, trained_layers;
  for (const Param& param : params.all()) {
    if (param.spec.kind != ParamKind::kTrainable) continue;
    const bool trains = std::ranges::any_of(
        patterns, [&](const std::string& pattern) { return fits(pattern, param.name); });
    if (trains)
      trained_layers.insert(layer_of(param.name));
    else
      frozen.insert(param.name);
  }
  for (const Param& param : params.all()) {
    if (param.spec.kind == ParamKind::kStatistic &&
        (phase.frozen_statistics || !trained_layers.contains(layer_of(param.name))))
      frozen.insert(param.name);
  }
  return frozen;
}

// The outermost scopes of which everything trains.
std::string trained_scopes(const std::set<std::string>& frozen, const ParamSet& params) {
  std::map<std::string, bool> whole;  // by scope; "": the network
  const auto scopes = [](const Param& param) {
    std::vector<std::string> result = {""};
    for (std::size_t dot = param.name.find('.'); dot != std::string::npos;
         dot = param.name.find('.', dot + 1))
      result.push_back(param.name.substr(0, dot));
    result.push_back(param.name);
    return result;
  };
  for (const Param& param : params.all()) {
    if (param.spec.kind != ParamKind::kTrainable) continue;
    for (const std::string& scope : scopes(param))
      if (bool& all = whole.try_emplace(scope, true).first->second; frozen.contains(param.name))
        all = false;
  }
  std::vector<std::string> names;
  for (const Param& param : params.all()) {
    if (param.spec.kind != ParamKind::kTrainable || frozen.contains(param.name)) continue;
    const std::vector<std::string> own = scopes(param);
    const std::string& outermost =
        *std::ranges::find_if(own, [&](const std::string& scope) { return whole.at(scope); });
    if (outermost.empty()) return kTrainAll;
    if (names.empty() || names.back() != outermost) names.push_back(outermost);
  }
  constexpr std::size_t kMost = 8;
  if (names.size() > kMost)
    return fmt::format("{}, ... {} more", fmt::join(names.begin(), names.begin() + kMost, ", "),
                       names.size() - kMost);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

PhasePlan::PhasePlan(const Config& config, const ParamSet& params, const HeadFinder& head)
    : parameters_(params.count(ParamKind::kTrainable)) {
  for (const ParameterGroup& group : parameter_groups(config.optimizer))
    check_patterns(group.match, group.where, params);
  for (const Phase& phase : training_phases(config)) {
    PlannedPhase& planned = phases_.emplace_back();
    planned.phase = phase;
    planned.frozen = frozen_names(phase, resolved(phase, params, head), params);
    planned.layers = trained_scopes(planned.frozen, params);
    for (const Param& param : params.all())
      if (param.spec.kind == ParamKind::kTrainable && !planned.frozen.contains(param.name))
        planned.parameters += param.elements;
  }
}

TrainingSpan PhasePlan::span(const std::vector<std::int64_t>& starts,
                             std::int64_t steps_per_epoch) const {
  const std::size_t last = starts.size() - 1;
  TrainingSpan span;
  span.lr = phases_[last].phase.lr;
  span.schedule = phases_[last].phase.schedule;
  span.first_step = starts[last];
  span.steps = phases_[last].phase.length(steps_per_epoch);
  for (std::size_t i = 0; i < last; ++i)
    for (const std::string& name : phases_[i].frozen)
      if (!phases_[last].frozen.contains(name)) span.first_steps[name] = starts[i + 1];
  return span;
}

std::string PhasePlan::describe(std::size_t index) const {
  const auto& [phase, frozen, parameters, layers] = phases_[index];
  const bool in_epochs = phase.epochs > 0;
  const std::int64_t length = in_epochs ? phase.epochs : phase.steps;
  return fmt::format("phase {} of {}: trains {} ({} of {} parameters), {} {}{}, lr {:.6g}, {}{}",
                     index + 1, phases_.size(), layers, parameters, parameters_, length,
                     in_epochs ? "epoch" : "step", length == 1 ? "" : "s", phase.lr,
                     name_of(phase.schedule.kind),
                     phase.frozen_statistics ? ", all running statistics frozen" : "");
}

}  // namespace lockstep
