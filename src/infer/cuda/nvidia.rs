//! A real GPU: the driver's queue ("stream"), our kernels, cuBLAS.

use std::{
    collections::HashMap,
    ffi::{c_int, c_void},
    sync::{Arc, Mutex, PoisonError},
};

use cudarc::{
    cublas::{
        CudaBlas,
        result::{CublasError, gemm_strided_batched_ex},
        sys as blas,
    },
    driver::{
        CudaContext, CudaFunction, CudaStream,
        result::{self, DriverError},
        sys,
    },
};

use super::{
    compiler,
    gpu::{Element, Gpu, Product, mistake},
};
use crate::{Error, Result};

/// The oldest compute capability (Ampere's) that the kernels run on: they need bfloat16 and asynchronous copies.
const OLDEST: c_int = 8;

/// The kernels and the threads of their blocks. Source: `kernels/*.cu`.
const KERNELS: [(&str, u32); 12] = [
    ("embed", 128),
    ("layer_norm", 128),
    ("bias_gelu", 128),
    ("mel_rows", 128),
    ("append", 128),
    ("select_rows", 128),
    ("attend_many", 128),
    ("attend_one", 128),
    ("merge_splits", 128),
    ("scores", 128),
    ("choose", 512),
    ("flash", 128),
];

struct Nvidia {
    index: usize,
    element: Element,
    n_processors: usize,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    functions: HashMap<&'static str, (CudaFunction, u32)>,
    blas: Mutex<CudaBlas>,
}

/// Whether a driver answers, knows a GPU of this index that is new enough, and the libraries that we need are there.
/// Nothing is loaded onto the GPU.
///
/// # Errors
/// [`Error::Unsupported`] with the reason.
pub(crate) fn probe(index: usize) -> Result<()> {
    let refuse = |reason: String| Err(Error::Unsupported(reason));
    // The bindings panic when a library is used without being there.
    // SAFETY: only looks for libraries.
    let (has_driver, has_blas) = unsafe { (sys::is_culib_present(), blas::is_culib_present()) };
    if !has_driver {
        return refuse("no NVIDIA driver found on this machine; use the device `cpu`".into());
    }
    let attribute = |which| {
        let ordinal = c_int::try_from(index).unwrap_or(c_int::MAX);
        // SAFETY: the device is from `get`.
        result::device::get(ordinal).and_then(|device| unsafe { result::device::get_attribute(device, which) })
    };
    let found = result::init().and_then(|()| result::device::get_count());
    let n_devices = match found {
        Ok(n) => usize::try_from(n).unwrap_or(0),
        Err(error) => return refuse(format!("the NVIDIA driver does not answer: {error:?}; use the device `cpu`")),
    };
    if index >= n_devices {
        return refuse(format!("there is no device cuda:{index}; this machine has {n_devices} NVIDIA GPUs"));
    }
    let major = attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    let pools = attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED);
    match (major, pools) {
        (Ok(major), Ok(pools)) if major >= OLDEST && pools > 0 => {}
        (Ok(major), Ok(_)) => {
            return refuse(format!(
                "the device cuda:{index} has compute capability {major}; Violet needs {OLDEST}.0 (Ampere) or newer"
            ));
        }
        (Err(error), _) | (_, Err(error)) => {
            return refuse(format!("the device cuda:{index} does not answer: {error:?}"));
        }
    }
    if !has_blas {
        return refuse(
            "cuBLAS (libcublas.so) is not there; install the CUDA toolkit, or pip install nvidia-cublas".into(),
        );
    }
    compiler::probe()
}

/// Opens a GPU and compiles the kernels for it.
///
/// # Errors
/// [`Error::Unsupported`] as [`probe`]; [`Error::OutOfMemory`].
pub(crate) fn open(index: usize, element: Element) -> Result<Arc<dyn Gpu>> {
    probe(index)?;
    let failed = |error: DriverError| mistake(format!("cannot open the device cuda:{index}: {error:?}"));
    let context = CudaContext::new(index).map_err(failed)?;
    let capability = context.compute_capability().map_err(failed)?;
    let module = context.load_module(compiler::compile(element, capability)?.into()).map_err(failed)?;
    let mut functions = HashMap::new();
    for (name, n_threads) in KERNELS {
        if name == "flash" && element == Element::F32 {
            continue;
        }
        functions.insert(name, (module.load_function(name).map_err(failed)?, n_threads));
    }
    let stream = context.new_stream().map_err(failed)?;
    let n_processors = context
        .attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
        .map_err(failed)?
        .try_into()
        .unwrap_or(1);
    let blas = CudaBlas::new(Arc::clone(&stream)).map_err(|error| match error {
        CublasError(blas::cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED) => out_of_memory(index, &context, 0),
        error => mistake(format!("cuBLAS does not start on the device cuda:{index}: {error:?}")),
    })?;
    let gpu = Nvidia { index, element, n_processors, context, stream, functions, blas: Mutex::new(blas) };
    gpu.keep_freed_memory().map_err(failed)?;
    Ok(Arc::new(gpu))
}

impl Nvidia {
    /// Freed memory stays with the process, for the next window: giving it back to the driver takes longer than using it.
    fn keep_freed_memory(&self) -> Result<(), DriverError> {
        let mut everything = u64::MAX;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        // SAFETY: the device is open; the attribute is a u64.
        unsafe {
            let pool = result::device::get_mem_pool(self.context.cu_device())?;
            result::mem_pool::set_attribute(pool, attribute, (&raw mut everything).cast())
        }
    }

    fn failed(&self, error: DriverError) -> Error {
        mistake(format!("the device cuda:{} failed: {error:?}", self.index))
    }

    /// The queue, usable from this thread.
    fn queue(&self) -> Result<sys::CUstream> {
        self.context.bind_to_thread().map_err(|error| self.failed(error))?;
        Ok(self.stream.cu_stream())
    }
}

fn out_of_memory(index: usize, context: &CudaContext, needed_bytes: usize) -> Error {
    let available_bytes = context.mem_get_info().map_or(0, |(free, _)| free as u64);
    Error::OutOfMemory { device: format!("cuda:{index}"), needed_bytes: needed_bytes as u64, available_bytes }
}

impl Gpu for Nvidia {
    fn element(&self) -> Element {
        self.element
    }

    fn n_processors(&self) -> usize {
        self.n_processors
    }

    fn free_bytes(&self) -> Option<u64> {
        self.queue().ok()?;
        self.context.mem_get_info().ok().map(|(free, _)| free as u64)
    }

    fn allocate(&self, n_bytes: usize) -> Result<u64> {
        let stream = self.queue()?;
        // SAFETY: the stream is alive as long as `self`; the memory's content is the caller's concern.
        unsafe {
            match result::malloc_async(stream, n_bytes) {
                Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                    // What was freed may be in pieces that are too small, or held for later.
                    let trimmed = self.stream.synchronize().and_then(|()| {
                        result::mem_pool::trim_to(result::device::get_mem_pool(self.context.cu_device())?, 0)
                    });
                    trimmed.map_err(|error| self.failed(error))?;
                    result::malloc_async(stream, n_bytes).map_err(|_| out_of_memory(self.index, &self.context, n_bytes))
                }
                other => other.map_err(|error| self.failed(error)),
            }
        }
    }

    unsafe fn free(&self, address: u64, _: usize) {
        if let Ok(stream) = self.queue() {
            // SAFETY: the caller's promise. An error here is one of earlier work, and appears again at the next call.
            let _ = unsafe { result::free_async(address, stream) };
        }
    }

    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<()> {
        // SAFETY: the caller's promise; from pageable memory the driver has copied `bytes` when it returns.
        unsafe { result::memcpy_htod_async(to, bytes, self.queue()?) }.map_err(|error| self.failed(error))
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        let stream = self.queue()?;
        // SAFETY: the caller's promise; `bytes` is borrowed until the queue has done it.
        unsafe { result::memcpy_dtoh_async(bytes, from, stream) }
            .and_then(|()| self.stream.synchronize())
            .map_err(|error| self.failed(error))
    }

    unsafe fn clear(&self, address: u64, n_bytes: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { result::memset_d8_async(address, 0, n_bytes, self.queue()?) }.map_err(|error| self.failed(error))
    }

    unsafe fn launch(&self, kernel: &'static str, grid: [usize; 3], arguments: *const c_void) -> Result<()> {
        let stream = self.queue()?;
        let (function, n_threads) = self.functions.get(kernel).ok_or_else(|| mistake(format!("no kernel {kernel}")))?;
        let [x, y, z] = grid.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        // SAFETY: the caller's promise; the driver copies the arguments before it returns.
        unsafe {
            let arguments = &mut [arguments.cast_mut()];
            result::launch_kernel(function.cu_function(), (x, y, z), (*n_threads, 1, 1), 0, stream, arguments)
        }
        .map_err(|error| self.failed(error))
    }

    unsafe fn multiply(&self, product: &Product) -> Result<()> {
        self.queue()?;
        let int = |n: usize| c_int::try_from(n).map_err(|_| mistake(format!("a matrix of {n} for cuBLAS")));
        let storage = |element| match element {
            Element::F16 => blas::cudaDataType::CUDA_R_16F,
            Element::BF16 => blas::cudaDataType::CUDA_R_16BF,
            Element::F32 => blas::cudaDataType::CUDA_R_32F,
        };
        let (one, zero) = (1.0_f32, 0.0_f32);
        let factor = |value: &f32| std::ptr::from_ref(value).cast::<c_void>();
        let Product { left, right, out, .. } = *product;
        let stride = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let handle = self.blas.lock().unwrap_or_else(PoisonError::into_inner);
        // cuBLAS is column-major: what is row-major here is transposed there, so it computes out^T = right x left^T.
        // SAFETY: the caller's promise; factors are read before the call returns.
        let done = unsafe {
            gemm_strided_batched_ex(
                *handle.handle(),
                blas::cublasOperation_t::CUBLAS_OP_T,
                blas::cublasOperation_t::CUBLAS_OP_N,
                int(product.n_columns)?,
                int(product.n_rows)?,
                int(product.n_inner)?,
                factor(&one),
                right.address as *const c_void,
                storage(self.element),
                int(right.row_stride)?,
                stride(right.stride),
                left.address as *const c_void,
                storage(self.element),
                int(left.row_stride)?,
                stride(left.stride),
                factor(if product.accumulates { &one } else { &zero }),
                out.address as *mut c_void,
                storage(product.out_element),
                int(out.row_stride)?,
                stride(out.stride),
                int(product.n_products)?,
                blas::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                blas::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        };
        done.map_err(|error| match error {
            CublasError(blas::cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED) => {
                out_of_memory(self.index, &self.context, 0)
            }
            error => mistake(format!("cuBLAS failed on the device cuda:{}: {error:?}", self.index)),
        })
    }
}

impl std::fmt::Debug for Nvidia {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Nvidia")
            .field("index", &self.index)
            .field("element", &self.element)
            .finish_non_exhaustive()
    }
}
