//! Memory for weights, keys and values: in large pages where the system has them.
//!
//! A token's way through the decoder reads tens of megabytes once, one line after the other. In pages of 4 KiB the
//! processor waits at every page to learn where it lies; pages of 2 MiB double what comes from memory (4.3 to 4.7 GB/s
//! became 9 to 11, 40 MB read by one thread of a virtual Zen 3).

#![allow(unsafe_code, reason = "memory is asked for with an alignment of its own, and shared out")]

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::tile::Line;

/// A large page of x86-64, and of aarch64 with pages of 4 KiB.
const PAGE: usize = 2 << 20;
/// Least size of a region. What is not used of it costs addresses, not memory.
const REGION: usize = 8 * PAGE;

/// A fixed number of lines, zeros at first. Those that are asked for one after the other lie side by side, so that small
/// matrices share large pages.
#[derive(Debug)]
pub(super) struct Lines {
    start: NonNull<Line>,
    len: usize,
    /// Keeps the memory.
    _region: Arc<Region>,
}

// SAFETY: a part of a region belongs to one `Lines` alone, as a box's memory does to its box.
unsafe impl Send for Lines {}
// SAFETY: as above; shared, it can only be read.
unsafe impl Sync for Lines {}

#[derive(Debug)]
struct Region {
    start: NonNull<u8>,
    layout: Layout,
    /// Lines that are taken, from the start on.
    taken: Mutex<usize>,
}

// SAFETY: the pointer is read to give parts away, each once, under the mutex, and to free all.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

/// The region whose rest is given away next.
static NEWEST: Mutex<Weak<Region>> = Mutex::new(Weak::new());

impl Lines {
    /// `len` lines of zeros.
    pub(super) fn zeros(len: usize) -> Self {
        let mut newest = NEWEST.lock().unwrap_or_else(PoisonError::into_inner);
        let (region, start) = newest.upgrade().and_then(|region| region.take(len)).unwrap_or_else(|| {
            let region = Arc::new(Region::new(len));
            *newest = Arc::downgrade(&region);
            match region.take(len) {
                Some(taken) => taken,
                None => unreachable!("a region is made as large as what is taken of it first"),
            }
        });
        drop(newest);
        // SAFETY: the part has room for `len` lines, and is nobody else's.
        unsafe { start.write_bytes(0, len) };
        Self { start, len, _region: region }
    }
}

impl Deref for Lines {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        // SAFETY: the part has `len` lines, was set when it was taken, and lives as long as its region.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [Line] {
        // SAFETY: as in `deref`, and nobody else has this part.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Region {
    /// With room for at least `len` lines.
    fn new(len: usize) -> Self {
        let size = len.saturating_mul(size_of::<Line>()).max(REGION);
        let layout = size.checked_next_multiple_of(PAGE).and_then(|size| Layout::from_size_align(size, PAGE).ok());
        let Some(layout) = layout else { panic!("{len} lines are more than there are addresses") };
        // SAFETY: the size is not 0.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        #[cfg(target_os = "linux")]
        {
            // Before anything is written, for then the pages are chosen. A system without large pages refuses.
            // SAFETY: the range is the one that was just allocated; the advice changes no contents.
            let _ =
                unsafe { rustix::mm::madvise(start.as_ptr().cast(), layout.size(), rustix::mm::Advice::LinuxHugepage) };
        }
        Self { start, layout, taken: Mutex::new(0) }
    }

    /// The next `len` lines, if there are so many.
    fn take(self: Arc<Self>, len: usize) -> Option<(Arc<Self>, NonNull<Line>)> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let start = *taken;
        let end = start.checked_add(len).filter(|end| *end <= self.layout.size() / size_of::<Line>())?;
        *taken = end;
        drop(taken);
        // SAFETY: `start` is inside of the region, or at its end; a region is aligned as a page, and so as a line.
        let part = unsafe { self.start.cast::<Line>().add(start) };
        Some((self, part))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and its parts, which hold it, are gone.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn parts_are_zeros_and_nobody_elses() {
        let per_region = REGION / size_of::<Line>();
        // Small ones of many threads, one that fills a region, one that is larger, and none at all.
        let sizes: Vec<usize> =
            (0..300).map(|index| index * 7 % 90).chain([per_region, 3 * per_region / 2, 0, 5]).collect();
        let mut parts: Vec<Lines> = sizes.par_iter().map(|&len| Lines::zeros(len)).collect();
        for (index, (part, len)) in parts.iter_mut().zip(&sizes).enumerate() {
            assert_eq!(part.len(), *len);
            assert!(part.as_ptr().addr().is_multiple_of(align_of::<Line>()));
            assert!(part.iter().all(|line| line.0 == [0; 64]), "part {index}");
            part.fill(Line([index as u8; 64]));
        }
        for (index, part) in parts.iter().enumerate() {
            assert!(part.iter().all(|line| line.0 == [index as u8; 64]), "part {index}");
        }
        // Every other one goes, others come.
        let mut index = 0;
        parts.retain(|_| {
            index += 1;
            index % 2 == 0
        });
        let fresh: Vec<Lines> = (0..50).map(|_| Lines::zeros(40)).collect();
        assert!(fresh.iter().all(|part| part.iter().all(|line| line.0 == [0; 64])));
        for (index, part) in parts.iter().enumerate() {
            assert!(part.iter().all(|line| line.0 == [(2 * index + 1) as u8; 64]), "part {index}");
        }
    }
}
