// The zoo, as the runtime wants it.
#pragma once

#include "runtime/run/session.h"

namespace lockstep {

NetworkFactory zoo_networks();

}  // namespace lockstep
