//! Parses the bytes of one file into its objects and its problems.

mod documents;

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    contents::Contents,
    digest::Digest,
    document::{self, Problem},
    draft::{Draft, Extracts},
    object::{Key, Kind, WrongObject},
};
use crate::{
    model::{ConfigError, Origin},
    source::Serve,
};

/// One version of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// Its text, which identifies the version.
    pub text: Text,
    /// Device and inode of the file that held the bytes.
    pub identity: Identity,
    /// Objects without problems.
    pub contents: Arc<Contents>,
    /// Objects with problems.
    pub wrong: Vec<WrongObject>,
    /// Lines of unreadable documents, whose objects are unknown.
    pub broken: Vec<u32>,
    /// Whether the text ends with a wrong object, so that its end may be missing.
    pub ends_wrong: bool,
    /// The first errors in the order of lines.
    pub errors: Vec<ConfigError>,
    /// How many more there are.
    pub more: usize,
}

/// The bytes of a file. Bytes that nothing needs are dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Text {
    /// The bytes as they were read.
    Kept(Arc<Vec<u8>>),
    /// Their digest only.
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

    /// Returns the bytes; none if they were dropped.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Kept(bytes) => bytes,
            Self::Dropped(_) => &[],
        }
    }
}

/// Identity of the file that a path led to.
#[derive(Clone, Copy, Eq, Debug)]
pub struct Identity {
    /// Device; zero if unknown, because device numbers change at boot.
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
        let origin = Origin::Line {
            file: Arc::clone(path),
            line: 1,
        };
        Self::parse_as(&origin, is_json(path), identity, bytes, serve)
    }

    /// Reads an object of a cluster, in JSON.
    pub fn parse_object(origin: &Origin, bytes: Vec<u8>, serve: Serve) -> Self {
        let identity = Identity {
            device: 0,
            inode: 0,
        };
        Self::parse_as(origin, true, identity, bytes, serve)
    }

    fn parse_as(
        origin: &Origin,
        is_json: bool,
        identity: Identity,
        bytes: Vec<u8>,
        serve: Serve,
    ) -> Self {
        let mut draft = Draft::new(origin, serve);
        match text(&bytes) {
            Ok(text) if is_json => document::read_json(text, &mut draft),
            Ok(text) => document::read(text, &mut draft),
            Err(problem) => draft.give_up(problem),
        }
        let Draft {
            contents,
            wrong,
            broken,
            ends_wrong,
            problems,
            ..
        } = draft;
        let ends_wrong = ends_wrong && !matches!(bytes.trim_ascii_end().last(), Some(b'}' | b']'));
        let is_useless = !broken.is_empty() && wrong.is_empty() && contents == Contents::default();
        let text = if is_useless {
            Text::Dropped(Digest::of(&bytes))
        } else {
            Text::Kept(Arc::new(bytes))
        };
        let (first, more) = problems.into_sorted();
        let locate = |Problem {
                          line,
                          field,
                          reason,
                      }| ConfigError {
            origin: origin.at(line),
            field,
            reason,
        };
        let errors = first.into_iter().map(locate).collect();
        Self {
            text,
            identity,
            contents: Arc::new(contents),
            wrong,
            broken,
            ends_wrong,
            errors,
            more,
        }
    }

    /// Returns the texts of these objects.
    pub fn pick(&self, wanted: HashSet<Key>) -> BTreeMap<Key, Arc<str>> {
        let Ok(text) = std::str::from_utf8(self.text.bytes()) else {
            return BTreeMap::new();
        };
        let nowhere = Origin::Object(Arc::default());
        let mut draft = Draft::new(&nowhere, Serve::All);
        draft.picks = Extracts {
            wanted: Arc::new(wanted),
            texts: BTreeMap::new(),
        };
        document::read(text, &mut draft);
        draft.picks.texts
    }

    /// Whether unreadable parts may hold objects of this kind.
    pub fn may_hide(&self, kind: Kind) -> bool {
        let hides = |it: &WrongObject| it.key.is_none() && it.kind.is_none_or(|of| of == kind);
        !self.broken.is_empty() || self.wrong.iter().any(hides)
    }

    /// Whether it has no object with a readable name.
    pub fn is_useless(&self) -> bool {
        matches!(self.text, Text::Dropped(_))
    }

    /// Whether it names no object at all.
    pub fn says_nothing(&self) -> bool {
        *self.contents == Contents::default() && self.wrong.is_empty() && self.broken.is_empty()
    }

    /// Whether it names no object and does not state that either, as `services: []` does.
    pub fn is_blank(&self) -> bool {
        let lines = self.text.bytes().split(|byte| *byte == b'\n');
        let mut said = lines.filter(|line| !line.trim_ascii_start().starts_with(b"#"));
        self.says_nothing() && !said.any(|line| line.contains(&b'['))
    }
}

fn is_json(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "json")
}

/// Decodes the bytes as text. A machine that loses power may leave NUL bytes in a file.
fn text(bytes: &[u8]) -> Result<&str, Problem> {
    let problem = |position: usize, reason: &str| {
        let lines = bytes[..position]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        let line = u32::try_from(lines + 1).unwrap_or(u32::MAX);
        Problem {
            line,
            field: String::new(),
            reason: reason.to_owned(),
        }
    };
    if let Some(position) = bytes.iter().position(|byte| *byte == 0) {
        return Err(problem(
            position,
            "a NUL byte: the file was not written to its end; write it again",
        ));
    }
    std::str::from_utf8(bytes).map_err(|error| problem(error.valid_up_to(), "not UTF-8 text"))
}
