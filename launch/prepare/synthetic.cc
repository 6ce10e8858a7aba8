// lockstep prepare synthetic KIND -o FILE.h5
#include "io/prepare/synthetic.h"

#include "launch/prepare/kind.h"

namespace lockstep {

namespace {

template <typename Options>
void add_rows_and_noise(CLI::App* command, Options& options, const std::string& noise) {
  command->add_option("--rows", options.rows, "samples of all parts together")
      ->capture_default_str();
  command->add_option("--noise", options.noise, noise)->capture_default_str();
}

void add_moons(CLI::App* synthetic, Action& action) {
  const auto [command, arguments] = add_kind<MoonsOptions>(
      synthetic, "moons", "two half circles that interlock, 2 classes", prepare_moons, action);
  add_rows_and_noise(command, arguments->kind, "standard deviation of both coordinates");
  command->footer("Example:\n  lockstep prepare synthetic moons --test 0.3 -o moons.h5\n");
}

void add_spirals(CLI::App* synthetic, Action& action) {
  const auto [command, arguments] = add_kind<SpiralsOptions>(
      synthetic, "spirals", "arms of a spiral, a class each", prepare_spirals, action);
  add_rows_and_noise(command, arguments->kind, "standard deviation of the angle, in radians");
  command->add_option("--classes", arguments->kind.classes, "arms")->capture_default_str();
  command->footer("Example:\n  lockstep prepare synthetic spirals --rows 900 -o spirals.h5\n");
}

void add_blobs(CLI::App* synthetic, Action& action) {
  const auto [command, arguments] = add_kind<BlobsOptions>(
      synthetic, "blobs", "normal clouds, a class each", prepare_blobs, action);
  add_rows_and_noise(command, arguments->kind, "standard deviation of each cloud");
  command->add_option("--classes", arguments->kind.classes, "clouds")->capture_default_str();
  command->add_option("--features", arguments->kind.features, "columns of x")
      ->capture_default_str();
  command->footer("Example:\n  lockstep prepare synthetic blobs --classes 5 -o blobs.h5\n");
}

void add_linear(CLI::App* synthetic, Action& action) {
  const auto [command, arguments] = add_kind<LinearDataOptions>(
      synthetic, "linear", "y = sign(x.w + noise), or x.w + noise itself", prepare_linear, action);
  LinearDataOptions& options = arguments->kind;
  add_rows_and_noise(command, options, "standard deviation of what is added to x.w");
  command->add_option("--features", options.features, "columns of x")->capture_default_str();
  const std::map<std::string, bool> tasks{{"classification", false}, {"regression", true}};
  command->add_option("--task", options.regression, "what the target is")
      ->transform(CLI::CheckedTransformer(tasks))
      ->option_text("classification (default) or regression");
  command->footer(
      "The file's attribute \"truth\" holds w.\n"
      "Example:\n  lockstep prepare synthetic linear --test 0.2 -o linear.h5\n");
}

void add_quadratic(CLI::App* synthetic, Action& action) {
  const auto [command, arguments] = add_kind<QuadraticDataOptions>(
      synthetic, "quadratic", "y = a x^2 + b x + c + noise", prepare_quadratic, action);
  QuadraticDataOptions& options = arguments->kind;
  add_rows_and_noise(command, options, "standard deviation of what is added to y");
  command->add_option("--coefficients", options.coefficients, "a,b,c")
      ->allow_extra_args(false)
      ->delimiter(',')
      ->option_text("A,B,C [3,2,1]");
  command->add_option("--range", options.range, "of x")
      ->allow_extra_args(false)
      ->delimiter(',')
      ->option_text("FROM,TO [-2,2]");
  command->footer("Example:\n  lockstep prepare synthetic quadratic -o quadratic.h5\n");
}

void add_bit_patterns(CLI::App* synthetic, Action& action) {
  const auto [command, arguments] = add_kind<BitPatternsOptions>(
      synthetic, "bit-patterns",
      "strings of bits, GOOD if fewer than half of the neighbouring bits differ",
      prepare_bit_patterns, action);
  BitPatternsOptions& options = arguments->kind;
  add_rows_and_noise(command, options, "probability that a label is turned round");
  command->add_option("--bits", options.bits, "length of a string")->capture_default_str();
  using Representation = BitPatternsOptions::Representation;
  const std::map<std::string, Representation> representations{
      {"bits", Representation::kBits}, {"changes", Representation::kChanges}};
  command->add_option("--representation", options.representation, "what x holds of a string")
      ->transform(CLI::CheckedTransformer(representations))
      ->option_text(
          "bits (default): itself, on which a linear classifier fails;\n"
          "changes: where a bit differs from the one before, on which it succeeds");
  command->footer(
      "Examples (one seed: the same strings):\n"
      "  lockstep prepare synthetic bit-patterns --test 0.2 -o bits.h5\n"
      "  lockstep prepare synthetic bit-patterns --representation changes --test 0.2 -o "
      "changes.h5\n");
}

void add_images(CLI::App* synthetic, Action& action) {
  const auto [command, arguments] = add_kind<ImagesOptions>(
      synthetic, "images", "random bytes of any shape, for benchmarks", prepare_images, action);
  ImagesOptions& options = arguments->kind;
  add_rows_and_noise(command, options,
                     "share of an image that is its own; the rest is its class's");
  command->add_option("--classes", options.classes, "number of labels")->capture_default_str();
  command->add_option("--shape", options.shape, "height, width, channels; or any other sizes")
      ->allow_extra_args(false)
      ->delimiter(',')
      ->option_text("H,W,C [32,32,3]");
  command->footer(
      "Example:\n"
      "  lockstep prepare synthetic images --shape 224,224,3 --classes 1000 --rows 2000 -o i.h5\n");
}

}  // namespace

void add_prepare_synthetic(CLI::App* prepare, Action& action) {
  CLI::App* synthetic = prepare->add_subcommand("synthetic", "data made by rule and seed");
  synthetic->require_subcommand(1);
  add_moons(synthetic, action);
  add_spirals(synthetic, action);
  add_blobs(synthetic, action);
  add_linear(synthetic, action);
  add_quadratic(synthetic, action);
  add_bit_patterns(synthetic, action);
  add_images(synthetic, action);
  synthetic->footer(
      "One seed gives the same file on any machine.\n"
      "Example:\n  lockstep prepare synthetic moons --test 0.3 -o moons.h5\n");
}

}  // namespace lockstep
