//! The command line of the mesh. See [`mesh_agent::cli`].

use std::{
    env,
    io::{self, IsTerminal},
    process::ExitCode,
};

use mesh_agent::cli::{self, Refresh, Streams};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let refresh = if out.is_terminal() { Refresh::Replace } else { Refresh::Append };
    cli::run(env::args_os(), Streams { out: &mut out, err: &mut err, refresh }).await.into()
}
