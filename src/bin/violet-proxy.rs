//! The proxy as a program of its own.

fn main() {
    std::process::exit(violet::proxy::run(std::env::args().skip(1).collect()));
}
