//! One file: bytes to everything it says, and everything that is wrong with it.

mod contents;
mod draft;
mod extract;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use self::{contents::Contents, draft::Draft};
use super::{
    digest::Digest,
    document::{self, Problem},
    object::{Kind, WrongObject},
};
use crate::{
    config::Serve,
    model::{ConfigError, Origin},
};

/// One version of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// What tells it from other versions.
    pub text: Text,
    /// Device and inode: which file the bytes were in.
    pub identity: Identity,
    /// The objects that are right.
    pub contents: Arc<Contents>,
    /// The objects that are wrong.
    pub wrong: Vec<WrongObject>,
    /// Lines of documents that cannot be read: which objects are in them is not known.
    pub broken: Vec<u32>,
    /// Whether the last object of the text is wrong, and nothing follows it: it may have lost its end.
    pub ends_wrong: bool,
    /// The first errors in the order of lines.
    pub errors: Vec<ConfigError>,
    /// How many more there are.
    pub more: usize,
}

/// The bytes of a file. Those that are good for nothing are not kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Text {
    /// As they were read.
    Kept(Arc<Vec<u8>>),
    /// Only known again.
    Dropped(Digest),
}

impl Text {
    /// Whether these are the same bytes.
    pub fn is(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Kept(kept) => **kept == bytes,
            Self::Dropped(digest) => *digest == Digest::of(bytes),
        }
    }

    /// The bytes; none where they were dropped.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Kept(bytes) => bytes,
            Self::Dropped(_) => &[],
        }
    }
}

/// Which file a path led to.
#[derive(Clone, Copy, Eq, Debug)]
pub struct Identity {
    /// Device; zero where it is not known, for devices are numbered anew at each boot.
    pub device: u64,
    /// Inode.
    pub inode: u64,
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        let is_known = self.device != 0 && other.device != 0;
        self.inode == other.inode && (self.device == other.device || !is_known)
    }
}

impl File {
    /// Reads all documents of a file.
    pub fn parse(path: &Arc<PathBuf>, identity: Identity, bytes: Vec<u8>, serve: Serve) -> Self {
        let mut draft = Draft::new(path, serve);
        match text(&bytes) {
            Ok(text) if is_json(path) => document::read_json(text, &mut draft),
            Ok(text) => document::read(text, &mut draft),
            Err(problem) => draft.give_up(problem),
        }
        let Draft { contents, wrong, broken, ends_wrong, problems, .. } = draft;
        let ends_wrong = ends_wrong && !matches!(bytes.trim_ascii_end().last(), Some(b'}' | b']'));
        let is_useless = !broken.is_empty() && wrong.is_empty() && contents == Contents::default();
        let text = if is_useless { Text::Dropped(Digest::of(&bytes)) } else { Text::Kept(Arc::new(bytes)) };
        let (first, more) = problems.into_sorted();
        let locate = |Problem { line, field, reason }| {
            let origin = Origin { file: Arc::clone(path), line };
            ConfigError { origin, field, reason }
        };
        let errors = first.into_iter().map(locate).collect();
        Self { text, identity, contents: Arc::new(contents), wrong, broken, ends_wrong, errors, more }
    }

    /// Whether objects of this kind may be in what cannot be read.
    pub fn may_hide(&self, kind: Kind) -> bool {
        let hides = |it: &WrongObject| it.key.is_none() && it.kind.is_none_or(|of| of == kind);
        !self.broken.is_empty() || self.wrong.iter().any(hides)
    }

    /// Whether it has no object that can be told by its name.
    pub fn is_useless(&self) -> bool {
        matches!(self.text, Text::Dropped(_))
    }

    /// Whether it speaks of no object at all.
    pub fn says_nothing(&self) -> bool {
        *self.contents == Contents::default() && self.wrong.is_empty() && self.broken.is_empty()
    }

    /// Whether it speaks of no object, and does not say either that there is none, as `services: []` does.
    pub fn is_blank(&self) -> bool {
        let lines = self.text.bytes().split(|byte| *byte == b'\n');
        let mut said = lines.filter(|line| !line.trim_ascii_start().starts_with(b"#"));
        self.says_nothing() && !said.any(|line| line.contains(&b'['))
    }
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// The text that the bytes are. NUL bytes are what a machine that stopped too early leaves of a file.
fn text(bytes: &[u8]) -> Result<&str, Problem> {
    let problem = |position: usize, reason: &str| {
        let lines = bytes[..position].iter().filter(|byte| **byte == b'\n').count();
        let line = u32::try_from(lines + 1).unwrap_or(u32::MAX);
        Problem { line, field: String::new(), reason: reason.to_owned() }
    };
    if let Some(position) = bytes.iter().position(|byte| *byte == 0) {
        return Err(problem(position, "a NUL byte: the file was not written to its end; write it again"));
    }
    std::str::from_utf8(bytes).map_err(|error| problem(error.valid_up_to(), "not UTF-8 text"))
}
