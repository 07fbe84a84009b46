//! Memory that is used again: what is lent comes back when it is dropped.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
};

/// Things that wait to be used again. Clones share them.
pub(super) struct Pool<T> {
    idle: Arc<Mutex<Vec<T>>>,
    /// More than this many are not kept.
    limit: usize,
}

/// Something of a pool, until it is dropped.
pub(super) struct Lent<T> {
    /// Present until it is dropped.
    thing: Option<T>,
    pool: Pool<T>,
}

impl<T> Pool<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { idle: Arc::default(), limit }
    }

    /// One that waits and is as wanted, or a new one.
    pub(super) fn take(&self, is_wanted: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> Lent<T> {
        let waiting = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.iter().rposition(is_wanted).map(|index| idle.swap_remove(index))
        };
        Lent { thing: Some(waiting.unwrap_or_else(make)), pool: self.clone() }
    }
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { idle: Arc::clone(&self.idle), limit: self.limit }
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for Lent<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.thing.fmt(formatter)
    }
}

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.thing {
            Some(thing) => thing,
            None => unreachable!("taken only while it is dropped"),
        }
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.thing {
            Some(thing) => thing,
            None => unreachable!("taken only while it is dropped"),
        }
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= self.pool.limit {
            // The newest sizes are the likeliest to be wanted again.
            idle.remove(0);
        }
        idle.extend(self.thing.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_lent_again_within_the_limit() {
        let pool = Pool::new(2);
        let any = |_: &u32| true;
        let lent = [pool.take(any, || 1), pool.take(any, || 2), pool.take(any, || 3)];
        drop(lent);
        assert_eq!(*pool.take(any, || 9), 3);
        assert_eq!(*pool.take(|n| *n == 2, || 9), 2);
        let _both = [pool.take(any, || 9), pool.take(any, || 9)];
        assert_eq!(*pool.take(any, || 9), 9);
    }
}
