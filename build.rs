//! Compiles the GPU's kernels for the processor, for the tests that run them there (feature `cuda-on-host`).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "cuda-on-host")]
    compile_kernels();
}

#[cfg(feature = "cuda-on-host")]
fn compile_kernels() {
    println!("cargo:rerun-if-changed=src/infer/cuda/kernels");
    // How matrices are stored: half, bfloat16, float. The numbers are those of prelude.h.
    for element in ["16", "17", "32"] {
        cc::Build::new()
            .file("src/infer/cuda/kernels/host.c")
            .define("ELEMENT", element)
            .flag("-std=gnu11")
            .opt_level(2)
            .warnings(true)
            .compile(&format!("violet_host_kernels_{element}"));
    }
}
