//! The command line client. See [`meshctl`].

use std::{
    env,
    io::{self, IsTerminal},
    process::ExitCode,
};

use meshctl::{Screen, Streams};
use terminal_size::{Height, Width, terminal_size_of};

fn main() -> ExitCode {
    if meshctl::complete() {
        ExitCode::SUCCESS
    } else {
        run()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run() -> ExitCode {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    meshctl::run(
        env::args_os(),
        Streams {
            out: &mut out,
            err: &mut err,
            screen,
        },
    )
    .await
    .into()
}

/// Returns the size of the terminal; 80 × 24 for one that does not report it, like some serial
/// consoles.
fn screen() -> Option<Screen> {
    let size = |(Width(columns), Height(rows)): (Width, Height)| Screen {
        columns: columns.into(),
        rows: rows.into(),
    };
    let known = || {
        terminal_size_of(io::stdout())
            .map(size)
            .filter(|size| size.columns > 0 && size.rows > 0)
    };
    io::stdout().is_terminal().then(|| {
        known().unwrap_or(Screen {
            columns: 80,
            rows: 24,
        })
    })
}
