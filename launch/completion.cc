// lockstep completion bash: a script for bash, made from the tables that read the command line.
#include <fmt/ranges.h>

#include "launch/commands.h"
#include "runtime/config/config_schema.h"

namespace lockstep {

namespace {

// The words that may follow "lockstep train" and so on: commands and options, then one case a
// command below it.
void add_cases(const CLI::App& app, const std::string& path, std::string& cases) {
  std::vector<std::string> words;
  for (const CLI::App* command : app.get_subcommands(nullptr)) words.push_back(command->get_name());
  bool overrides = false;
  for (const CLI::Option* option : app.get_options()) {
    overrides = overrides || option->get_single_name() == "overrides";
    for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
  }
  if (overrides)
    for (const ConfigKey& key : config_schema()) words.push_back(key.path + "=");
  cases += fmt::format("    '{}') words='{}' ;;\n", path, fmt::join(words, " "));
  for (const CLI::App* command : app.get_subcommands(nullptr))
    add_cases(*command, path + " " + command->get_name(), cases);
}

// How the words so far lead from one command to the next below it.
void add_paths(const CLI::App& app, const std::string& path, std::string& paths) {
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    const std::string below = path + " " + command->get_name();
    paths += fmt::format("      '{0}') path='{0}' ;;\n", below);
    add_paths(*command, below, paths);
  }
}

std::string bash_script(const CLI::App& app) {
  std::string words_of_path, paths;
  add_cases(app, "", words_of_path);
  add_paths(app, "", paths);
  std::string function = app.get_name();  // of names a shell function cannot have
  for (char& c : function)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  // An option's value and whatever is no known word is completed as a file. A key ends in "=", so
  // no blank follows it; bash cuts words at "=", hence what stands before it is looked at too.
  return fmt::format(
      R"(# bash completion for {0}; made by `{0} completion bash`
_{1}() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} path='' words='' word
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in
{2}    esac
  done
  case "$path" in
{3}  esac
  COMPREPLY=()
  if [ "$current" = = ] || [ "${{COMP_WORDS[COMP_CWORD-1]}}" = = ]; then
    mapfile -t COMPREPLY < <(compgen -f -- "${{current#=}}")
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  [[ ${{COMPREPLY[0]-}} == *= ]] && compopt -o nospace
  [ ${{#COMPREPLY[@]}} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$current")
}}
complete -o filenames -F _{1} {0}
)",
      app.get_name(), function, paths, words_of_path);
}

}  // namespace

void add_completion(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("completion", "print a completion script for a shell");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash")->required()->check(CLI::IsMember({"bash"}));
  command->footer("Example:\n  source <(lockstep completion bash)\n");
  command->callback([shell, &app, &action] {
    action = [shell, &app] {
      fmt::print("{}", bash_script(app));
      return 0;
    };
  });
}

}  // namespace lockstep
