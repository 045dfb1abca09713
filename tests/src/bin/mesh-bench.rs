//! Measurements on the harness of the scenarios, see [`mesh_tests::bench`].

fn main() -> std::process::ExitCode {
    mesh_tests::bench::main()
}
