//! Links the programs again when the linker's settings change; cargo by itself knows the linker's
//! path only.

fn main() {
    println!("cargo:rerun-if-changed=linker.sh");
}
