//! Which vector instructions this processor has, found once.

use std::sync::LazyLock;

#[cfg(target_arch = "aarch64")]
use super::neon;
use super::panels::{self, FloatLoops};
use super::tile::{self, Loops};
#[cfg(target_arch = "x86_64")]
use super::{avx_vnni, avx2, avx512};

/// The loops for one set of instructions.
pub(in crate::infer) struct Isa {
    /// What it is called, in the messages of tests.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests alone name it"))]
    pub name: &'static str,
    /// Products of 8-bit numbers.
    pub(super) bytes: Loops,
    /// Products of 16-bit numbers.
    pub(super) words: Loops,
    /// Products of f32.
    pub(super) floats: FloatLoops,
}

/// The table of a loop that is generic over the number of rows and the kind of numbers.
macro_rules! isa {
    ($name:literal, $module:ident::$tile:ident, $floats:ident::$loop:ident) => {
        Isa {
            name: $name,
            bytes: isa!(@loops $module::$tile, false),
            words: isa!(@loops $module::$tile, true),
            floats: isa!(@floats $floats::$loop, 1 2 3 4 5 6 7 8 9 10 11 12),
        }
    };
    (@floats $module:ident::$loop:ident, $($rows:literal)*) => { [$($module::$loop::<$rows>),*] };
    (@loops $module:ident::$tile:ident, $words:literal) => {
        [
            $module::$tile::<1, $words>,
            $module::$tile::<2, $words>,
            $module::$tile::<3, $words>,
            $module::$tile::<4, $words>,
            $module::$tile::<5, $words>,
            $module::$tile::<6, $words>,
        ]
    };
}

/// Plain Rust, for any processor.
pub(super) static SCALAR: Isa = isa!("scalar", tile::scalar, panels::scalar);

#[cfg(target_arch = "x86_64")]
static AVX512_VNNI: Isa = isa!("avx512-vnni", avx512::tile, avx512::floats);

#[cfg(target_arch = "x86_64")]
static AVX_VNNI: Isa = isa!("avx-vnni", avx_vnni::tile, avx2::floats);

#[cfg(target_arch = "x86_64")]
static AVX2: Isa = isa!("avx2", avx2::tile, avx2::floats);

#[cfg(target_arch = "aarch64")]
static NEON: Isa = isa!("neon", neon::tile, neon::floats);

/// All that this processor can run, the fastest first.
pub(super) fn available() -> Vec<&'static Isa> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni")
        {
            found.push(&AVX512_VNNI);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            if is_x86_feature_detected!("avxvnni") {
                found.push(&AVX_VNNI);
            }
            found.push(&AVX2);
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        found.push(&NEON);
    }
    found.push(&SCALAR);
    found
}

/// The fastest that this processor can run.
pub(in crate::infer) fn current() -> &'static Isa {
    static CURRENT: LazyLock<&'static Isa> = LazyLock::new(|| available()[0]);
    *CURRENT
}
