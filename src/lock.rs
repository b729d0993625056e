//! Locks that no panic leaves half-way.

use std::sync::{Mutex, MutexGuard};

/// Takes a lock. One that a panic has poisoned is a bug.
pub(crate) fn held<T: ?Sized>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().expect("no code panics while it holds this lock")
}
