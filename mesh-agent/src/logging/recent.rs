//! Keeps the last warnings and errors of the log for bug reports.

use std::{collections::VecDeque, io, sync::Mutex};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Most lines that are kept, and most bytes of one.
const LINES: usize = 200;
const LINE: usize = 1024;

static RECENT: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Returns the last warnings and errors, oldest first.
pub fn recent() -> Vec<String> {
    let lines = RECENT.lock().expect("nothing panics with the lock");
    lines.iter().cloned().collect()
}

fn keep(lines: &mut VecDeque<String>, line: &[u8]) {
    let line = &line[..line.len().min(LINE)];
    if lines.len() == LINES {
        lines.pop_front();
    }
    lines.push_back(String::from_utf8_lossy(line).trim_end().to_owned());
}

/// Writes lines through, and keeps a copy of warnings and errors.
pub(super) struct Recorded<W>(pub(super) W);

/// Writes one line.
pub(super) struct Line<W> {
    out: W,
    is_kept: bool,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Recorded<W> {
    type Writer = Line<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            out: self.0.make_writer(),
            is_kept: false,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        Line {
            out: self.0.make_writer_for(metadata),
            is_kept: *metadata.level() <= Level::WARN,
        }
    }
}

impl<W: io::Write> io::Write for Line<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.is_kept {
            keep(
                &mut RECENT.lock().expect("nothing panics with the lock"),
                line,
            );
        }
        self.out.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_long_ones_are_cut() {
        let mut lines = VecDeque::new();
        for number in 0..=LINES {
            keep(&mut lines, format!("line {number}\n").as_bytes());
        }
        keep(&mut lines, &[b'x'; 2 * LINE]);
        assert_eq!((lines.len(), lines[0].as_str()), (LINES, "line 2"));
        assert_eq!(lines[LINES - 1].len(), LINE);
    }
}
