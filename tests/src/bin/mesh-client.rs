//! A client process of the scenarios, see [`mesh_tests::client`].

fn main() -> std::io::Result<()> {
    mesh_tests::client::serve::serve()
}
