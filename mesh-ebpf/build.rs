//! Asks the linker, which generates the code, for the third generation of BPF instructions (Linux 5.12): atomic
//! operations that return what was there before come with its 32-bit registers.

fn main() {
    println!("cargo:rustc-link-arg-bins=--cpu-features=+alu32,+jmp32");
    println!("cargo:rerun-if-changed=build.rs");
}
