//! The numbers that a model computes in.

use std::{fmt, str::FromStr};

use crate::{Error, Result};

/// The numbers that a model computes in. The names are those of `CTranslate2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ComputeType {
    /// The fastest on the device that keeps the words.
    #[default]
    Auto,
    /// 32-bit floats.
    Float32,
    /// 16-bit floats.
    Float16,
    /// 16-bit floats with the range of 32-bit ones.
    BFloat16,
    /// 8-bit integers with scales in the large products, floats elsewhere.
    Int8,
}

impl ComputeType {
    const ALL: [Self; 5] = [Self::Auto, Self::Float32, Self::Float16, Self::BFloat16, Self::Int8];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::BFloat16 => "bfloat16",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for ComputeType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for ComputeType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|compute_type| compute_type.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::InvalidInput(format!("unknown compute type `{text}`; expected one of {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_others_are_refused_with_the_list() {
        for compute_type in ComputeType::ALL {
            assert_eq!(compute_type.to_string().parse::<ComputeType>().unwrap(), compute_type);
        }
        let message = "fp16".parse::<ComputeType>().unwrap_err().to_string();
        assert!(message.contains("`fp16`") && message.contains("auto, float32, float16, bfloat16, int8"), "{message}");
    }
}
