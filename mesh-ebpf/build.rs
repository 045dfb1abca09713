//! Linker settings for the BPF target.

fn main() {
    // 32-bit jumps and every atomic operation; kernels have run it since 5.12.
    println!("cargo:rustc-link-arg=--cpu=v3");
}
