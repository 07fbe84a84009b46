//! Where tensors live: parsing `auto`, `cpu`, `cuda`, `cuda:N` and `metal`, and opening that device without a crash.

use std::{path::Path, str::FromStr};

use candle_core::Device;

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

impl Choice {
    /// Opens the device.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the device was asked for by name and this build or this machine does not have it.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(index) => open_cuda(index),
            Self::Metal => open_metal(),
            Self::Auto => Ok(open_cuda(0).or_else(|_| open_metal()).unwrap_or(Device::Cpu)),
        }
    }
}

fn open_cuda(index: usize) -> Result<Device> {
    if !candle_core::utils::cuda_is_available() {
        return Err(Error::Unsupported(
            "this build has no CUDA; build with the feature `cuda`, or use the device `cpu`".into(),
        ));
    }
    if !has_nvidia_driver() {
        return Err(Error::Unsupported("no NVIDIA driver found on this machine; use the device `cpu`".into()));
    }
    // The CUDA bindings panic when a library of the driver or the toolkit cannot be loaded.
    std::panic::catch_unwind(|| Device::new_cuda(index))
        .map_err(|_| Error::Unsupported("the CUDA libraries cannot be loaded; use the device `cpu`".into()))?
        .map_err(|error| Error::Unsupported(format!("cannot open the device cuda:{index}: {error}")))
}

fn open_metal() -> Result<Device> {
    if !candle_core::utils::metal_is_available() {
        return Err(Error::Unsupported("this build has no Metal; use the device `cpu`".into()));
    }
    Ok(Device::new_metal(0)?)
}

/// Whether the kernel's half of an NVIDIA driver is there (Linux, WSL, Jetson; elsewhere the libraries are tried).
fn has_nvidia_driver() -> bool {
    !cfg!(target_os = "linux")
        || ["/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-ctrl-gpu", "/dev/nvgpu"]
            .iter()
            .any(|path| Path::new(path).exists())
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
    }
}
