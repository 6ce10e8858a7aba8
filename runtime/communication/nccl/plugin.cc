// The plug-in's one entry point.
#include <cstdlib>

#include "runtime/communication/nccl/nccl_link.h"

namespace lockstep {

namespace {

class LinkedNcclLibrary final : public NcclLibrary {
 public:
  std::string version() const override { return nccl_version_text(nccl::version()); }

  std::string make_id() override {
    prepare();
    nccl::Id id;
    const nccl::Outcome outcome = nccl::make_id(id);
    if (outcome.state != nccl::State::kDone)
      throw Error("NCCL: an id for the ranks to meet by: {}", outcome.text);
    return {id.data(), id.size()};
  }

  std::unique_ptr<DeviceLink> make_link(const NcclOptions& options) override {
    prepare();
    return std::make_unique<NcclLink>(options);
  }

 private:
  // Sums inside switches (NVLS) take memory of every GPU, and the tree has no use for them. Who
  // wants them for reduction = "fast" sets the variable.
  static void prepare() { ::setenv("NCCL_NVLS_ENABLE", "0", /*overwrite=*/0); }
};

NcclLibrary& library() {
  static LinkedNcclLibrary library;
  return library;
}

}  // namespace

extern "C" const NcclPlugin* lockstep_nccl_plugin() {
  static const NcclPlugin plugin{nccl_plugin_abi(), library};
  return &plugin;
}

}  // namespace lockstep
