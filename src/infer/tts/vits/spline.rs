//! The monotonic rational-quadratic spline, read backwards.
//!
//! Source: Durkan, Bekasov, Murray and Papamakarios, "Neural Spline Flows" (2019), and VITS `transforms.py`.

/// Outside of this bound, on either side, the spline is the identity.
const BOUND: f64 = 5.0;
/// Least width and height of a bin, and least slope at a knot.
const MIN_SIZE: f64 = 1e-3;
const MIN_SLOPE: f64 = 1e-3;

/// Room for the knots; it is used again.
#[derive(Debug, Default)]
pub(super) struct Spline {
    x: Vec<f64>,
    y: Vec<f64>,
    slopes: Vec<f64>,
}

impl Spline {
    /// The spline of a network's outputs: `widths` and `heights` of the bins before their softmax, and `slopes` at the
    /// knots between them before their softplus.
    pub(super) fn set(&mut self, widths: &[f64], heights: &[f64], slopes: &[f32]) {
        knots(widths, &mut self.x);
        knots(heights, &mut self.y);
        self.slopes.clear();
        self.slopes.push(1.0);
        self.slopes.extend(slopes.iter().map(|slope| MIN_SLOPE + softplus(f64::from(*slope))));
        self.slopes.push(1.0);
    }

    /// Where the spline has the value `y`.
    pub(super) fn inverse(&self, y: f64) -> f64 {
        if !(-BOUND..=BOUND).contains(&y) {
            return y;
        }
        let bin = self.y[1..self.y.len() - 1].partition_point(|knot| *knot <= y);
        let (width, height) = (self.x[bin + 1] - self.x[bin], self.y[bin + 1] - self.y[bin]);
        let (slope, [left, right]) = (height / width, [self.slopes[bin], self.slopes[bin + 1]]);
        let (above, bend) = (y - self.y[bin], left + right - 2.0 * slope);
        let a = above * bend + height * (slope - left);
        let b = height * left - above * bend;
        let c = -slope * above;
        let discriminant = (b * b - 4.0 * a * c).max(0.0);
        2.0 * c / (-b - discriminant.sqrt()) * width + self.x[bin]
    }
}

/// The bounds of bins with these sizes before their softmax.
fn knots(sizes: &[f64], out: &mut Vec<f64>) {
    let most = sizes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = sizes.iter().map(|size| (size - most).exp()).sum();
    let rest = 1.0 - MIN_SIZE * sizes.len() as f64;
    out.clear();
    out.push(-BOUND);
    let mut at = 0.0;
    for size in sizes {
        at += MIN_SIZE + rest * (size - most).exp() / sum;
        out.push(2.0 * BOUND * at - BOUND);
    }
    if let Some(last) = out.last_mut() {
        *last = BOUND;
    }
}

fn softplus(x: f64) -> f64 {
    if x > 30.0 { x } else { x.exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The spline forwards, as the paper's equation 4 has it.
    fn forward(spline: &Spline, x: f64) -> f64 {
        let bin = spline.x[1..spline.x.len() - 1].partition_point(|knot| *knot <= x);
        let (width, height) = (spline.x[bin + 1] - spline.x[bin], spline.y[bin + 1] - spline.y[bin]);
        let (slope, at) = (height / width, (x - spline.x[bin]) / width);
        let [left, right] = [spline.slopes[bin], spline.slopes[bin + 1]];
        let rest = at * (1.0 - at);
        spline.y[bin] + height * (slope * at * at + left * rest) / (slope + (left + right - 2.0 * slope) * rest)
    }

    proptest::proptest! {
        #[test]
        fn the_inverse_undoes_the_spline(
            widths in proptest::collection::vec(-3.0_f64..3.0, 10),
            heights in proptest::collection::vec(-3.0_f64..3.0, 10),
            slopes in proptest::collection::vec(-5.0_f32..5.0, 9),
            x in -5.0_f64..5.0,
        ) {
            let mut spline = Spline::default();
            spline.set(&widths, &heights, &slopes);
            let back = spline.inverse(forward(&spline, x));
            proptest::prop_assert!((back - x).abs() < 1e-6, "{} and {}", back, x);
        }
    }

    #[test]
    fn outside_it_is_the_identity_and_even_bins_are_a_line() {
        let mut spline = Spline::default();
        // A softplus of 1 - MIN_SLOPE: slope 1 everywhere.
        let one = ((1.0 - MIN_SLOPE).exp() - 1.0).ln() as f32;
        spline.set(&[0.5; 10], &[-2.0; 10], &[one; 9]);
        for y in [-7.0, -5.0, -1.3, 0.0, 4.9, 5.0, 100.0] {
            assert!((spline.inverse(y) - y).abs() < 1e-6);
        }
    }
}
