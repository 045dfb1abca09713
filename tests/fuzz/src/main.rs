//! libFuzzer, which calls the target that the environment names. Built by `cargo xtask fuzz`.
#![no_main]

use std::{env, sync::LazyLock};

use mesh_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = env::var("MESH_FUZZ_TARGET").expect("`cargo xtask fuzz` names the target");
    mesh_fuzz::target(&name).expect("`cargo xtask fuzz` knows the targets")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.run)(data));
