//! Products of matrices.

use crate::{
    Result,
    infer::cuda::gpu::{Element, Gpu, Operand, Product, Span, mistake},
};

/// `out = left x right^T`, or added to `out`; several at once, with strides in elements.
pub(crate) struct Multiply<'a> {
    pub out: Span<'a>,
    pub left: Span<'a>,
    pub right: Span<'a>,
    pub n_rows: usize,
    pub n_columns: usize,
    pub n_inner: usize,
    /// Elements between rows of `out`, `left` and `right`.
    pub row_strides: [usize; 3],
    /// Elements between the matrices of several products.
    pub strides: [usize; 3],
    pub n_products: usize,
    pub out_element: Element,
    pub accumulates: bool,
}

impl Multiply<'_> {
    pub(crate) fn run(&self, gpu: &dyn Gpu) -> Result<()> {
        let Self { n_rows, n_columns, n_inner, n_products, .. } = *self;
        if [n_rows, n_columns, n_inner, n_products].contains(&0) {
            return Ok(());
        }
        let operand = |index: usize, span: Span<'_>, element: Element, [rows, columns]: [usize; 2]| {
            let (row_stride, stride) = (self.row_strides[index], self.strides[index]);
            if row_stride < columns {
                return Err(mistake(format!("a matrix of {columns} columns with rows {row_stride} apart")));
            }
            let n = (n_products - 1) * stride + (rows - 1) * row_stride + columns;
            Ok(Operand { address: span.address(n * element.n_bytes())?, row_stride, stride })
        };
        let product = Product {
            n_rows,
            n_columns,
            n_inner,
            out: operand(0, self.out, self.out_element, [n_rows, n_columns])?,
            left: operand(1, self.left, gpu.element(), [n_rows, n_inner])?,
            right: operand(2, self.right, gpu.element(), [n_columns, n_inner])?,
            out_element: self.out_element,
            accumulates: self.accumulates,
            n_products,
        };
        // SAFETY: `operand` has checked that every element of the three lies in its memory.
        unsafe { gpu.multiply(&product) }
    }
}
