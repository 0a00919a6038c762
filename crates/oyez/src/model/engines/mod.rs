//! The engines that a world stands on, each with the test that runs it there.

#[cfg(unix)]
mod disk;
mod memory;
mod remote;
