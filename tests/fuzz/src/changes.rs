//! Files that change over time. A line of the input that begins with `%` is a step, and the lines up
//! to the next step are its text: `%w0` writes file 0 in place, `%r0` replaces it, `%d0` removes it,
//! `%t` lets ten minutes pass, and `%s` restarts the agent.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use mesh_core::{
    model::{Service, Update},
    source::{
        Serve,
        dir::{ScanReader, Version},
        last_good::Entry,
    },
};

use crate::{file, report, serve};

/// Most steps of one input.
const STEPS: usize = 12;
const FILES: [&str; 3] = ["a.yaml", "b.yaml", "c.json"];

/// Checks the reports and the services after each step.
pub fn check(data: &[u8]) {
    let mut node = Node::default();
    for step in steps(data).into_iter().take(STEPS) {
        node.take(step);
    }
    if let Some(update) = node.last {
        serve::check(&update);
    }
}

/// What happens in a step, which file it is about, and the text.
type Step<'a> = (u8, usize, &'a [u8]);

fn steps(data: &[u8]) -> Vec<Step<'_>> {
    let starts: Vec<usize> = (0..data.len())
        .filter(|&at| data[at] == b'%' && (at == 0 || data[at - 1] == b'\n'))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([data.len()]);
    let step = |(start, end): (usize, usize)| {
        let step = &data[start..end];
        let line = step.iter().position(|byte| *byte == b'\n')?;
        let number = step.get(2).copied().unwrap_or_default();
        Some((
            *step.get(1)?,
            usize::from(number) % FILES.len(),
            &step[line + 1..],
        ))
    };
    starts.iter().copied().zip(ends).filter_map(step).collect()
}

/// A directory of services in memory, and its reader.
struct Node {
    /// Inode and text of each file.
    files: BTreeMap<PathBuf, (u64, Vec<u8>)>,
    inodes: u64,
    /// Most lines that each file had.
    lines: BTreeMap<PathBuf, usize>,
    reader: ScanReader,
    now: Instant,
    last: Option<Update>,
}

impl Default for Node {
    fn default() -> Self {
        let directory = PathBuf::from(file::DIRECTORY);
        Self {
            files: BTreeMap::new(),
            inodes: 0,
            lines: [(directory, 1)].into(),
            reader: file::reader(),
            now: Instant::now(),
            last: None,
        }
    }
}

impl Node {
    fn take(&mut self, (what, number, text): Step<'_>) {
        let path = Path::new(file::DIRECTORY).join(FILES[number]);
        match what {
            b'w' => self.write(path, text),
            b'r' => {
                self.files.remove(&path);
                self.write(path, text);
            }
            b'd' => _ = self.files.remove(&path),
            b't' => self.now += Duration::from_secs(600),
            b's' => return self.restart(),
            _ => return,
        }
        let update = self.read();
        report::check(&update, &self.lines);
        assert_eq!(self.read().services, update.services, "read twice");
        self.last = Some(update);
    }

    fn write(&mut self, path: PathBuf, text: &[u8]) {
        let lines = self.lines.entry(path.clone()).or_default();
        *lines = report::lines(text).max(*lines);
        self.inodes += 1;
        let new = (self.inodes, Vec::new());
        self.files.entry(path).or_insert(new).1 = text.to_vec();
    }

    fn read(&mut self) -> Update {
        let files = self.files.iter();
        let scan = file::scan(files.map(|(path, (inode, text))| (path, *inode, text.as_slice())));
        self.reader.read(scan, self.now)
    }

    /// Stores the versions in force, and reads them with another reader. The services stay.
    fn restart(&mut self) {
        let Some(before) = self.last.clone() else {
            return;
        };
        let stored = self.reader.versions_to_store();
        let is_whole = stored.len() == self.reader.versions().len();
        self.reader = file::reader();
        let others = self
            .reader
            .recall(stored.iter().filter_map(again).collect());
        assert_eq!(others, Vec::<PathBuf>::new());
        let after = self.read();
        report::check(&after, &self.lines);
        if is_whole && before.complete {
            assert_eq!(unplaced(&after), unplaced(&before), "after a restart");
        }
        self.last = Some(after);
    }
}

/// Returns the services without their lines. An object that was kept is stored as a separate text.
fn unplaced(update: &Update) -> Vec<Service> {
    let unplaced = |service: &Arc<Service>| {
        let mut service = Service::clone(service);
        service.origin = service.origin.at(1);
        service.traffic.health_origin.line = 1;
        service
    };
    update.services.values().map(unplaced).collect()
}

/// Prints and parses a version.
fn again((path, version): (&PathBuf, &Arc<Version>)) -> Option<(PathBuf, Version)> {
    let entry = Entry::of(path, version)?;
    let parsed = Entry::parse(entry.text()).and_then(|it| it.version(Serve::All));
    let (at, parsed) = parsed.expect("this agent wrote the text");
    assert_eq!((&at, &parsed.kept), (path, &version.kept));
    Some((at, parsed))
}
