//! One matrix that several threads fill.

use std::marker::PhantomData;

/// A dense matrix that several threads write to, each its own columns.
pub(super) struct Columns<'a> {
    data: *mut f32,
    len: usize,
    width: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

#[allow(unsafe_code, reason = "threads write to different columns of one matrix, which slices cannot express")]
// SAFETY: its only use is `write`, whose callers promise that no two threads touch one column.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
    pub(super) fn new(out: &'a mut [f32], width: usize) -> Self {
        Self { data: out.as_mut_ptr(), len: out.len(), width, borrowed: PhantomData }
    }

    /// Writes some columns of one row, or adds to them.
    ///
    /// # Safety
    /// While the matrix is borrowed, no other thread writes to these columns.
    #[allow(unsafe_code, reason = "threads write to different columns of one matrix, which slices cannot express")]
    pub(super) unsafe fn write(&self, row: usize, first: usize, values: &[f32], add: bool) {
        let start = row * self.width + first;
        assert!(first + values.len() <= self.width && start + values.len() <= self.len, "outside of the matrix");
        // SAFETY: the range is inside of the borrowed slice, and only this thread touches these columns.
        let out = unsafe { std::slice::from_raw_parts_mut(self.data.add(start), values.len()) };
        if add {
            out.iter_mut().zip(values).for_each(|(out, value)| *out += value);
        } else {
            out.copy_from_slice(values);
        }
    }
}
