//! Where models run: parsing `auto`, `cpu`, `cuda`, `cuda:N` and `metal`, and finding that device without a crash.

use std::str::FromStr;

use super::cuda;
use crate::{Error, Result};

/// A device as a person names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The first GPU that this build can use, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The NVIDIA GPU with this index.
    Cuda(usize),
    /// Apple's GPU.
    Metal,
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            other => {
                other.strip_prefix("cuda:").and_then(|index| index.parse().ok()).map(Self::Cuda).ok_or_else(|| {
                    Error::InvalidInput(format!("unknown device `{other}`; expected auto, cpu, cuda, cuda:N or metal"))
                })
            }
        }
    }
}

/// A device that was found.
#[derive(Debug, Clone)]
pub enum Device {
    /// The processor.
    Cpu,
    /// The NVIDIA GPU with this index.
    Cuda(usize),
    /// Apple's GPU.
    Metal(candle_core::Device),
}

impl Choice {
    /// Finds the device.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the device was asked for by name and this build or this machine does not have it.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(index) => cuda::probe(index).map(|()| Device::Cuda(index)),
            Self::Metal => open_metal(),
            Self::Auto => Ok(Self::Cuda(0).open().or_else(|_| open_metal()).unwrap_or(Device::Cpu)),
        }
    }
}

/// Why no GPU of NVIDIA's can be used; `None` when one can.
#[must_use]
pub fn cuda_problem() -> Option<String> {
    cuda::probe(0).err().map(|error| error.to_string())
}

/// Whether this build can use a GPU of NVIDIA's where there is one.
pub const HAS_CUDA: bool = cfg!(feature = "cuda");

fn open_metal() -> Result<Device> {
    if !candle_core::utils::metal_is_available() {
        return Err(Error::Unsupported("this build has no Metal; use the device `cpu`".into()));
    }
    Ok(Device::Metal(candle_core::Device::new_metal(0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_others_are_refused_with_the_list() {
        assert_eq!("auto".parse::<Choice>().unwrap(), Choice::Auto);
        assert_eq!("cuda".parse::<Choice>().unwrap(), Choice::Cuda(0));
        assert_eq!("cuda:3".parse::<Choice>().unwrap(), Choice::Cuda(3));
        for bad in ["gpu", "cuda:", "cuda:x", "CPU", ""] {
            let message = bad.parse::<Choice>().unwrap_err().to_string();
            assert!(message.contains("cuda:N"), "{message}");
        }
    }

    #[test]
    fn auto_always_opens_something() {
        assert!(Choice::Auto.open().is_ok());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_without_the_feature_says_so() {
        let error = Choice::Cuda(0).open().unwrap_err();
        assert!(error.to_string().contains("feature `cuda`"), "{error}");
        assert_eq!(cuda_problem(), Some(error.to_string()));
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn a_device_that_no_machine_has_is_refused_without_a_crash() {
        let error = Choice::Cuda(4096).open().unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
        assert!(error.to_string().contains("driver") || error.to_string().contains("cuda:4096"), "{error}");
    }
}
