//! The kernels' sources, and the machine code that NVRTC makes of them when a device is opened.

use std::ffi::{CStr, CString, c_char};

use cudarc::nvrtc::{
    Ptx,
    result::{self, NvrtcError},
    sys,
};

use super::gpu::{Element, mistake};
use crate::{Error, Result};

/// The oldest devices that the kernels run on (Ampere), and the code that newer ones than NVRTC knows compile themselves.
const OLDEST: &str = "compute_80";

/// One translation unit.
const SOURCE: &str = concat!(
    include_str!("kernels/prelude.h"),
    include_str!("kernels/pointwise.cu"),
    include_str!("kernels/decoder.cu"),
    include_str!("kernels/choose.cu"),
    include_str!("kernels/encoder.cu"),
);

/// Whether NVRTC can be loaded.
///
/// # Errors
/// [`Error::Unsupported`]
pub(super) fn probe() -> Result<()> {
    // SAFETY: only looks for the library.
    if unsafe { sys::is_culib_present() } {
        return Ok(());
    }
    Err(Error::Unsupported(
        "NVRTC (libnvrtc.so) is not there; install the CUDA toolkit, or pip install nvidia-cuda-nvrtc".into(),
    ))
}

/// What a device runs.
#[derive(Debug)]
pub(super) enum Code {
    /// Of one architecture.
    Machine(Vec<u8>),
    /// PTX, which the driver compiles.
    Portable(String),
}

impl From<Code> for Ptx {
    fn from(code: Code) -> Self {
        match code {
            Code::Machine(bytes) => Self::from_binary(bytes),
            Code::Portable(text) => Self::from_src(text),
        }
    }
}

/// The kernels for matrices of `element`, for a device of this compute capability.
///
/// # Errors
/// [`Error::Unsupported`] when NVRTC cannot be loaded.
pub(super) fn compile(element: Element, (major, minor): (i32, i32)) -> Result<Code> {
    probe()?;
    match compile_for(element, &format!("sm_{major}{minor}")) {
        // A device that is newer than the compiler.
        Err(Failure::Options) => compile_for(element, OLDEST).map_err(Failure::into_error),
        other => other.map_err(Failure::into_error),
    }
}

/// Why there is no code.
enum Failure {
    /// The compiler does not know the architecture.
    Options,
    Other(String),
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Options => mistake("NVRTC does not take its options".into()),
            Self::Other(log) => mistake(format!("NVRTC cannot compile the kernels: {log}")),
        }
    }
}

impl From<NvrtcError> for Failure {
    fn from(error: NvrtcError) -> Self {
        Self::Other(error.to_string())
    }
}

/// A program of NVRTC's, destroyed when it goes out of scope.
struct Program(sys::nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: from `create_program`, and destroyed only here.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

fn compile_for(element: Element, architecture: &str) -> Result<Code, Failure> {
    let source = CString::new(SOURCE).map_err(|error| Failure::Other(error.to_string()))?;
    let program = Program(result::create_program(&source, Some(c"violet.cu"))?);
    let options = [format!("--gpu-architecture={architecture}"), format!("-DELEMENT={}", element.code())];
    // SAFETY: the program is alive, and so is its source.
    unsafe {
        match result::compile_program(program.0, &options.map(String::into_bytes)) {
            Ok(()) => {}
            Err(NvrtcError(sys::nvrtcResult::NVRTC_ERROR_INVALID_OPTION)) => return Err(Failure::Options),
            Err(error) => {
                let log = result::get_program_log(program.0)?;
                return Err(Failure::Other(format!("{error}: {}", text(&log))));
            }
        }
        if architecture == OLDEST {
            return Ok(Code::Portable(text(&result::get_ptx(program.0)?)));
        }
        // Machine code, not PTX: a driver refuses the PTX of a compiler that is newer than itself.
        let mut n_bytes = 0;
        sys::nvrtcGetCUBINSize(program.0, &raw mut n_bytes).result()?;
        let mut code = vec![0_u8; n_bytes];
        sys::nvrtcGetCUBIN(program.0, code.as_mut_ptr().cast::<c_char>()).result()?;
        Ok(Code::Machine(code))
    }
}

fn text(chars: &[c_char]) -> String {
    let bytes: Vec<u8> = chars.iter().map(|c| c.cast_unsigned()).collect();
    CStr::from_bytes_until_nul(&bytes).map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs NVRTC, but no GPU: `make cuda` runs it.
    #[test]
    #[ignore = "needs NVRTC; `make cuda` brings it"]
    fn every_kernel_compiles_for_every_type_and_architecture() {
        for element in [Element::F16, Element::BF16, Element::F32] {
            for capability in [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0), (99, 0)] {
                let code = compile(element, capability).unwrap();
                match code {
                    Code::Machine(bytes) => {
                        assert!(capability.0 < 99 && bytes.starts_with(b"\x7fELF"), "{capability:?}")
                    }
                    Code::Portable(text) => assert!(capability.0 == 99 && text.contains(".target sm_80"), "{text}"),
                }
            }
        }
    }
}
