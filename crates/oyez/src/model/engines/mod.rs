//! The engines that a world stands on, each with the test that runs it there.

#[cfg(all(unix, feature = "disk"))]
mod disk;
mod memory;
mod remote;
