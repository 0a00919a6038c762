//! The locks and atomics of this crate: the standard ones, or shuttle's when its model tests are built. Shuttle is a dependency of
//! tests only, so that it is in nobody's lock file.
//!
//! A panic while a lock is held is a broken invariant of ours, not of the caller: everything behind these locks is
//! changed in steps that leave it usable, so a poisoned lock is taken as it is.

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard, atomic};
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard, atomic};

use std::sync::PoisonError;

#[cfg(all(test, shuttle))]
use shuttle::sync as imp;
#[cfg(not(all(test, shuttle)))]
use std::sync as imp;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(imp::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
