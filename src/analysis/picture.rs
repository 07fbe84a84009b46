//! A mel spectrogram as a picture.

use super::mel::{MelDecibels, N_MELS};
use crate::{Error, Result};

/// Widest picture, pixels; longer recordings show the loudest of several frames in one column.
const MAX_WIDTH: usize = 1_600;
/// Rows of pixels of each mel band.
const ROWS_PER_BAND: usize = 2;
/// Range from black to white, dB.
const RANGE_DB: f32 = 80.0;

/// The picture as PNG: time to the right, mel bands upwards, the loudest bright; 80 dB from black to white.
///
/// The colours are Green's cubehelix, whose perceived brightness rises steadily. Source: Green, "A colour scheme for the
/// display of astronomical intensity images", Bulletin of the Astronomical Society of India 39 (2011).
pub(super) fn png(decibels: &MelDecibels) -> Result<Vec<u8>> {
    let per_column = decibels.n_frames.div_ceil(MAX_WIDTH).max(1);
    let width = decibels.n_frames.div_ceil(per_column).max(1);
    let mut loudest = vec![f32::MIN; width * N_MELS];
    let mut frame = 0;
    for (block, n_frames) in decibels.blocks() {
        for lane in 0..n_frames {
            let column = frame / per_column;
            for (band, row) in block.iter().enumerate() {
                let value = &mut loudest[band * width + column];
                *value = value.max(row[lane]);
            }
            frame += 1;
        }
    }
    let greatest = loudest.iter().copied().fold(f32::MIN, f32::max);
    let height = N_MELS * ROWS_PER_BAND;
    let mut pixels = Vec::with_capacity(width * height * 3);
    for row in 0..height {
        let band = N_MELS - 1 - row / ROWS_PER_BAND;
        for column in 0..width {
            let below = greatest - loudest[band * width + column];
            pixels.extend(colour(1.0 - (below / RANGE_DB).clamp(0.0, 1.0)));
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    written.map_err(|error| Error::InvalidInput(format!("a picture of {width} x {height} pixels: {error}")))?;
    Ok(file)
}

/// Cubehelix with start 0.5, -1.5 rotations and hue 1. Source: as above, equation 2.
fn colour(fraction: f32) -> [u8; 3] {
    let angle = std::f32::consts::TAU * (0.5 / 3.0 + 1.0 - 1.5 * fraction);
    let amplitude = fraction * (1.0 - fraction) / 2.0;
    let (sin, cos) = angle.sin_cos();
    let mix = |a: f32, b: f32| {
        let value = fraction + amplitude * (a * cos + b * sin);
        (value.clamp(0.0, 1.0) * 255.0).round() as u8
    };
    [mix(-0.148_61, 1.782_77), mix(-0.292_27, -0.906_49), mix(1.972_94, 0.0)]
}

#[cfg(test)]
mod tests {
    use super::super::stft::LANES;
    use super::*;

    #[test]
    fn brightness_rises_from_black_to_white() {
        let bright = |index: u16| {
            let [r, g, b] = colour(f32::from(index) / 100.0).map(f32::from);
            0.30 * r + 0.59 * g + 0.11 * b
        };
        assert_eq!((colour(0.0), colour(1.0)), ([0; 3], [255; 3]));
        assert!((1..=100).all(|index| bright(index) > bright(index - 1)));
    }

    #[test]
    fn a_picture_can_be_read_back() {
        let mut decibels = MelDecibels::new();
        let mut block = [[1e-9; LANES]; N_MELS];
        block[40] = [1.0; LANES];
        for _ in 0..200 {
            decibels.push(&block, LANES);
        }
        decibels.clamp();
        let file = png(&decibels).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        assert_eq!((reader.info().width, reader.info().height), (1_600, 256));
        let mut pixels = vec![0; 1_600 * 256 * 3];
        reader.next_frame(&mut pixels).unwrap();
        let row = (N_MELS - 1 - 40) * ROWS_PER_BAND;
        assert_eq!(pixels[row * 1_600 * 3..][..3], [255; 3]);
        assert!(pixels[(row + 20) * 1_600 * 3..][..3].iter().all(|&value| value < 30));
    }
}
