//! The fused kernels against the compositions of candle's operations that GPUs run.

use candle_core::{Device, Tensor};

use super::ops::{Conv3, EPSILON, LayerNorm, Linear, attention, attention_composed};

fn random(shape: impl Into<candle_core::Shape>) -> Tensor {
    Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap()
}

fn assert_close(got: &Tensor, expected: &Tensor, tolerance: f32) {
    assert_eq!(got.dims(), expected.dims());
    let difference = (got - expected).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
    let difference = difference.to_scalar::<f32>().unwrap();
    assert!(difference < tolerance, "differs by {difference}");
}

#[test]
fn linear_equals_the_composition_for_few_and_many_rows() {
    for (rows, inputs, outputs) in [(1, 64, 100), (3, 37, 50), (8, 512, 300), (9, 64, 33), (200, 96, 70)] {
        let layer = Linear { weight: random((outputs, inputs)), bias: Some(random(outputs)) };
        let (x, residual) = (random((1, rows, inputs)), random((1, rows, outputs)));
        for (residual, gelu) in [(None, false), (None, true), (Some(&residual), false)] {
            let expected = layer.composed(&x, residual, gelu, &[1, rows, outputs]).unwrap();
            assert_close(&layer.product(&x, residual, gelu).unwrap(), &expected, 1e-3);
        }
    }
}

#[test]
fn attention_equals_the_composition() {
    for (rows, queries, keys, causal) in
        [(1, 1, 40, None), (2, 5, 9, Some(4)), (1, 300, 300, None), (2, 150, 160, Some(10)), (3, 9, 9, Some(0))]
    {
        let fused = random((rows, keys, 3 * 48));
        let (k, v) = (fused.narrow(2, 0, 48).unwrap(), fused.narrow(2, 96, 48).unwrap());
        let q = random((rows, queries, 48));
        let expected = attention_composed(&q, &k, &v, 3, causal).unwrap();
        assert_close(&attention(&q, &k, &v, 3, causal).unwrap(), &expected, 1e-5);
    }
}

#[test]
fn convolution_equals_candles() {
    for stride in [1, 2] {
        let (weight, bias, x) = (random((20, 8, 3)), random(20), random((2, 30, 8)));
        let expected = x.transpose(1, 2).unwrap().conv1d(&weight, 1, stride, 1, 1).unwrap();
        let expected = expected.transpose(1, 2).unwrap().broadcast_add(&bias).unwrap().gelu_erf().unwrap();
        let layer = Conv3::new(&weight, bias, stride).unwrap();
        assert_close(&layer.forward_gelu(&x).unwrap(), &expected, 1e-4);
    }
}

#[test]
fn layer_norm_equals_candles() {
    let (gamma, beta, x) = (random(100), random(100), random((2, 400, 100)));
    let expected = candle_nn::ops::layer_norm(&x, &gamma, &beta, EPSILON).unwrap();
    assert_close(&LayerNorm { gamma, beta }.forward(&x).unwrap(), &expected, 1e-5);
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let layer = Linear { weight: random((4, 3)), bias: None };
    assert!(layer.forward(&random((2, 5))).is_err());
    assert!(layer.forward_onto(&random((2, 3)), &random((2, 5))).is_err());
    assert!(attention(&random((1, 2, 8)), &random((1, 3, 8)), &random((1, 4, 8)), 2, None).is_err());
}
