//! The table from the core's errors to Python's exceptions.

use pyo3::exceptions::{PyConnectionError, PyException, PyKeyboardInterrupt, PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::{PyErr, create_exception};

use crate::Error;

create_exception!(violet, VioletError, PyException, "A failure of Violet's that no built-in exception names.");
create_exception!(violet, LimitError, PyValueError, "Audio or a file that is over a limit.");

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::InvalidInput(_) | Error::Unsupported(_) | Error::Decode { .. } => PyValueError::new_err(message),
            Error::TooLong { .. } | Error::TooLarge { .. } => LimitError::new_err(message),
            Error::OutOfMemory { .. } => PyMemoryError::new_err(message),
            // By its kind (FileNotFoundError, PermissionError, ...), with the path in the message.
            Error::Io { source, .. } => std::io::Error::new(source.kind(), message).into(),
            Error::Network { .. } => PyConnectionError::new_err(message),
            Error::Cancelled => PyKeyboardInterrupt::new_err(message),
            Error::NotFound(_) | Error::Conflict(_) | Error::Busy(_) | Error::Weights { .. } | Error::Model { .. } => {
                VioletError::new_err(message)
            }
        }
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VioletError", module.py().get_type::<VioletError>())?;
    module.add("LimitError", module.py().get_type::<LimitError>())
}
