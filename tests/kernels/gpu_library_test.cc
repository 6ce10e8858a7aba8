// The loader of the CUDA plug-in: what it says of each thing that may stand in its way. The fake
// plug-ins lie beside this program.
#include "kernels/gpu/gpu_library.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "kernels/core/plugin.h"
#include "tests/error_of.h"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string beside(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

TEST(GpuLibrary, Loads) {
  const LoadedGpuLibrary loaded =
      load_gpu_library({"/nowhere/libx.so", beside("libfake_gpu_plugin.so")}, "");
  ASSERT_NE(loaded.library, nullptr) << loaded.why_not;
  EXPECT_EQ(loaded.file, beside("libfake_gpu_plugin.so"));
  EXPECT_EQ(loaded.library->versions().front().name, "fake");
}

// The type of exceptions and of what the interface returns is one on both sides of dlopen.
TEST(GpuLibrary, ExceptionsCross) {
  const LoadedGpuLibrary loaded = load_gpu_library({beside("libfake_gpu_plugin.so")}, "");
  ASSERT_NE(loaded.library, nullptr) << loaded.why_not;
  EXPECT_EQ(error_of([&] { loaded.library->make_backend({.device = 3}); }),
            "the fake GPU 3 computes nothing");
}

TEST(GpuLibrary, OfAnotherBuildIsNotCalled) {
  const std::string file = beside("libfake_gpu_plugin_old.so");
  const LoadedGpuLibrary loaded = load_gpu_library({file}, "");
  EXPECT_EQ(loaded.library, nullptr);
  EXPECT_THAT(loaded.why_not, AllOf(HasSubstr(file), HasSubstr("0.0.1-000000000000"),
                                    HasSubstr(gpu_plugin_abi()), HasSubstr("one build")));
}

TEST(GpuLibrary, NotBuilt) {
  const LoadedGpuLibrary loaded = load_gpu_library({"/nowhere/libx.so"}, "no nvcc");
  EXPECT_EQ(loaded.library, nullptr);
  EXPECT_EQ(loaded.why_not, "this build has no CUDA plug-in (no nvcc)");
}

TEST(GpuLibrary, BuiltButNotFound) {
  const LoadedGpuLibrary loaded = load_gpu_library({"/nowhere/libx.so", "/neither/libx.so"}, "");
  EXPECT_EQ(
      loaded.why_not,
      "the CUDA plug-in was not found at /nowhere/libx.so or /neither/libx.so; install it again");
}

TEST(GpuLibrary, LoadersMessageIsQuoted) {
  const std::string file = testing::TempDir() + "/libdamaged.so";
  std::ofstream(file) << "this is no library, but it is longer than the header of one would be, "
                         "so that the loader has something to look at\n";
  const LoadedGpuLibrary loaded = load_gpu_library({file}, "");
  EXPECT_EQ(loaded.library, nullptr);
  EXPECT_THAT(loaded.why_not,
              AllOf(HasSubstr(file + " could not be loaded"), HasSubstr("invalid ELF header")));
}

TEST(GpuLibrary, ALibraryWithoutTheEntryIsNoPlugin) {
  const LoadedGpuLibrary loaded = load_gpu_library({beside("libfake_gpu_plugin_empty.so")}, "");
  EXPECT_EQ(loaded.library, nullptr);
  EXPECT_THAT(loaded.why_not, HasSubstr("undefined symbol: lockstep_cuda_plugin"));
}

TEST(PluginPlaces, BesideTheProgramComesFirst) {
  const std::vector<std::string> places = plugin_places("liba.so");
  ASSERT_GE(places.size(), 2U);
  EXPECT_EQ(places[0], beside("liba.so"));
  EXPECT_THAT(places[1], testing::EndsWith("/lib/lockstep/liba.so"));
}

}  // namespace
}  // namespace lockstep
