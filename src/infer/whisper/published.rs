//! The published Whisper models: their sizes, and which cross-attention heads follow the words.
//! Source: openai/whisper 20250625 `model.py` (sizes: the checkpoints' `dims`) and `__init__.py` (`_ALIGNMENT_HEADS`,
//! decoded); for distil-whisper, the models' own `config.json` on the hub. Distilled models name no heads of their own.

use super::config::Dimensions;

/// A published model.
#[derive(Debug)]
pub struct Published {
    /// Its name: `tiny.en`, `large-v3-turbo`.
    pub name: &'static str,
    /// Values in a position; every head has 64 of them.
    width: usize,
    n_encoder_layers: usize,
    n_decoder_layers: usize,
    n_mels: usize,
    n_vocab: usize,
    /// `(decoder layer, head)` of the heads that follow the words; empty where none are published.
    pub alignment_heads: &'static [(usize, usize)],
}

/// The published models, small ones first.
#[rustfmt::skip]
pub const PUBLISHED: [Published; 17] = [
    published("tiny.en", 384, [4, 4], 80, 51_864, &[(1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)]),
    published("tiny", 384, [4, 4], 80, 51_865, &[(2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5)]),
    published("base.en", 512, [6, 6], 80, 51_864, &[(3, 3), (4, 7), (5, 1), (5, 5), (5, 7)]),
    published("base", 512, [6, 6], 80, 51_865, &[(3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)]),
    published("distil-small.en", 768, [12, 4], 80, 51_864, &[]),
    published("small.en", 768, [12, 12], 80, 51_864, &[
        (6, 6), (7, 0), (7, 3), (7, 8), (8, 2), (8, 5), (8, 7), (9, 0), (9, 4), (9, 8), (9, 10), (10, 0), (10, 1), (10, 2),
        (10, 3), (10, 6), (10, 11), (11, 2), (11, 4),
    ]),
    published("small", 768, [12, 12], 80, 51_865, &[
        (5, 3), (5, 9), (8, 0), (8, 4), (8, 7), (8, 8), (9, 0), (9, 7), (9, 9), (10, 5),
    ]),
    published("distil-medium.en", 1024, [24, 2], 80, 51_864, &[]),
    published("medium.en", 1024, [24, 24], 80, 51_864, &[
        (11, 4), (14, 1), (14, 12), (14, 14), (15, 4), (16, 0), (16, 4), (16, 9), (17, 12), (17, 14), (18, 7), (18, 10),
        (18, 15), (20, 0), (20, 3), (20, 9), (20, 14), (21, 12),
    ]),
    published("medium", 1024, [24, 24], 80, 51_865, &[(13, 15), (15, 4), (15, 15), (16, 1), (20, 0), (23, 4)]),
    published("distil-large-v2", 1280, [32, 2], 80, 51_865, &[]),
    published("distil-large-v3", 1280, [32, 2], 128, 51_866, &[]),
    published("distil-large-v3.5", 1280, [32, 2], 128, 51_866, &[]),
    published("large-v3-turbo", 1280, [32, 4], 128, 51_866, &[(2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14)]),
    published("large-v1", 1280, [32, 32], 80, 51_865, &[
        (9, 19), (11, 2), (11, 4), (11, 17), (22, 7), (22, 11), (22, 17), (23, 2), (23, 15),
    ]),
    published("large-v2", 1280, [32, 32], 80, 51_865, &[
        (10, 12), (13, 17), (16, 11), (16, 12), (16, 13), (17, 15), (17, 16), (18, 4), (18, 11), (18, 19), (19, 11), (21, 2),
        (21, 3), (22, 3), (22, 9), (22, 12), (23, 5), (23, 7), (23, 13), (25, 5), (26, 1), (26, 12), (27, 15),
    ]),
    published("large-v3", 1280, [32, 32], 128, 51_866, &[
        (7, 0), (10, 17), (12, 18), (13, 12), (16, 1), (17, 14), (19, 11), (21, 4), (24, 1), (25, 6),
    ]),
];

const fn published(
    name: &'static str,
    width: usize,
    [n_encoder_layers, n_decoder_layers]: [usize; 2],
    n_mels: usize,
    n_vocab: usize,
    alignment_heads: &'static [(usize, usize)],
) -> Published {
    Published { name, width, n_encoder_layers, n_decoder_layers, n_mels, n_vocab, alignment_heads }
}

impl Published {
    /// The model of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        PUBLISHED.iter().find(|published| published.name == name)
    }

    /// The model of these sizes. large-v1 and large-v2 have the same ones: then `file_name` decides, if it tells.
    #[must_use]
    pub fn of(dimensions: &Dimensions, file_name: &str) -> Option<&'static Self> {
        let mut alike: Vec<_> = PUBLISHED.iter().filter(|published| published.dimensions() == *dimensions).collect();
        // The longest name that fits: "distil-large-v3.5" also has "distil-large-v3" in it.
        alike.sort_by_key(|published| std::cmp::Reverse(published.name.len()));
        match alike[..] {
            [only] => Some(only),
            _ => alike.into_iter().find(|published| file_name.contains(published.name)),
        }
    }

    /// Its sizes.
    #[must_use]
    pub const fn dimensions(&self) -> Dimensions {
        Dimensions {
            n_mels: self.n_mels,
            n_audio_ctx: 1500,
            n_text_ctx: 448,
            width: self.width,
            n_encoder_heads: self.width / 64,
            n_decoder_heads: self.width / 64,
            n_encoder_layers: self.n_encoder_layers,
            n_decoder_layers: self.n_decoder_layers,
            n_vocab: self.n_vocab,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_found_again_but_twins_need_their_name() {
        for published in &PUBLISHED {
            let found = Published::of(&published.dimensions(), &format!("ggml-{}-q5_0.bin", published.name)).unwrap();
            assert_eq!(found.name, published.name);
        }
        let large = Published::find("large-v2").unwrap().dimensions();
        assert!(Published::of(&large, "ggml-large.bin").is_none());
        assert_eq!(Published::of(&Published::find("base").unwrap().dimensions(), "x.bin").unwrap().name, "base");
    }

    #[test]
    fn alignment_heads_are_heads_of_the_model() {
        for published in &PUBLISHED {
            let dimensions = published.dimensions();
            let exists = |(layer, head): &(usize, usize)| {
                *layer < dimensions.n_decoder_layers && *head < dimensions.n_decoder_heads
            };
            assert!(published.alignment_heads.iter().all(exists), "{}", published.name);
            assert!(published.alignment_heads.is_sorted(), "{}", published.name);
        }
    }
}
