// The `lockstep` executable.
#include "launch/lockstep_main.h"

int main(int argc, char** argv) {
  return lockstep::lockstep_main(argc, argv);
}
