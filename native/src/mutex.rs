//! Locks that are held for a few statements and guard no invariant across them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; what a panicking holder left is as good as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
