//! What tests of several binaries share: nothing yet, for each keeps its own world.
