//! Tracks one file over time: its latest version, and the version that is in force.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use super::lost_end::{LostEnd, last_line};
use crate::{
    model::{ConfigError, Effect, Origin, Scope, Wrong},
    source::{Source, file::File, file_version::Version, object::Kind, scan::Found},
};

/// Files by path.
pub type Files = BTreeMap<PathBuf, TrackedFile>;

/// A file and its versions.
pub struct TrackedFile {
    path: Arc<PathBuf>,
    /// Source of the file.
    pub source: Source,
    /// Latest version; nothing if the file could never be read.
    latest: Option<Arc<File>>,
    /// Number of the read that found the latest version.
    pub changed: u64,
    /// Version in force.
    pub accepted: Option<Arc<Version>>,
    /// Error of the last read.
    pub unreadable: Option<String>,
    /// Whether the file existed at the first read and no version of it could be read whole since.
    /// Then an earlier agent may have served more of it than is known.
    is_stranger: bool,
    /// Newest version that counts as whole.
    whole: Option<Arc<File>>,
    /// End that the newest version may lack, while waiting for it.
    lost: Option<LostEnd>,
}

impl TrackedFile {
    /// Creates a file that is new.
    pub fn new(path: &Path, source: Source, at_start: bool) -> Self {
        let path = Arc::new(path.to_owned());
        let (latest, accepted, unreadable, whole, lost) = Default::default();
        Self {
            path,
            source,
            latest,
            changed: 0,
            accepted,
            unreadable,
            is_stranger: at_start,
            whole,
            lost,
        }
    }

    /// Creates a file with the version that an earlier agent had in force.
    pub fn remembered(path: &Path, source: Source, mut version: Version) -> Self {
        version.mark(&source);
        // A file with the same bytes need not be parsed again.
        let latest = Some(Arc::clone(&version.file));
        Self {
            whole: latest.clone(),
            latest,
            accepted: Some(Arc::new(version)),
            ..Self::new(path, source, false)
        }
    }

    /// Whether the file is unchanged.
    pub fn is(&self, found: &Found) -> bool {
        self.latest
            .as_ref()
            .is_some_and(|file| file.text.is(&found.bytes) && file.identity == found.identity)
    }

    /// Sets a new version, found by this read.
    pub fn set_latest(&mut self, mut file: File, read: u64, now: Instant) {
        self.lost = self
            .whole
            .as_ref()
            .and_then(|whole| LostEnd::of(&file, whole, now));
        let contents = Arc::make_mut(&mut file.contents);
        contents.mark(&self.source);
        if let Some(accepted) = &self.accepted {
            contents.share(&accepted.contents);
        }
        self.latest = Some(Arc::new(file));
        self.changed = read;
        self.unreadable = None;
    }

    /// Records that the file is unchanged.
    pub fn set_unchanged(&mut self, now: Instant) {
        self.unreadable = None;
        if self.is_due(now) {
            self.lost = None;
        }
    }

    /// Whether the waiting time of a possibly half-written version is over.
    pub fn is_due(&self, now: Instant) -> bool {
        self.lost.as_ref().is_some_and(|lost| lost.is_over(now))
    }

    /// Returns the newest version if its objects may come into force one by one, or nothing if the
    /// whole file stays as it was.
    pub fn fit(&self) -> Option<&Arc<File>> {
        self.latest.as_ref().filter(|_| self.harm().is_none())
    }

    /// Whether objects that the newest version lacks may still be in the file: in an unreadable
    /// part, or in an end that is still being written.
    pub fn is_half(&self, latest: &File) -> bool {
        let in_place = self
            .accepted
            .as_ref()
            .is_some_and(|good| good.file.identity == latest.identity);
        latest.ends_wrong && in_place
    }

    /// Whether services of it are in force.
    pub fn serves(&self) -> bool {
        self.accepted
            .as_ref()
            .is_some_and(|version| version.contents.serves())
    }

    /// Whether no service is missing because this file cannot be read.
    pub fn is_complete(&self) -> bool {
        !self.is_stranger
    }

    /// Whether all of its objects are known.
    pub fn is_whole(&self) -> bool {
        let is_plain = |latest: &Arc<File>| !hides(latest);
        !self.is_stranger
            || (self.unreadable.is_none() && self.latest.as_ref().is_some_and(is_plain))
    }

    /// Puts a version in force.
    pub fn accept(&mut self, version: Option<Arc<Version>>) {
        let whole = self
            .latest
            .as_ref()
            .filter(|latest| !hides(latest) && !self.is_half(latest))
            .cloned();
        self.accepted = version;
        let is_accepted = |file: &Arc<File>| {
            self.accepted
                .as_ref()
                .is_some_and(|it| Arc::ptr_eq(&it.file, file))
        };
        if whole.as_ref().is_some_and(is_accepted) {
            self.whole = whole;
        }
        self.is_stranger &= !self.is_whole();
    }

    /// Returns the errors in the file itself.
    pub fn errors(&self) -> Vec<ConfigError> {
        match self.harm() {
            Some(Harm::Told(line, reason)) => vec![self.error(line, reason)],
            Some(Harm::Useless) | None => self
                .latest
                .as_ref()
                .map(|file| file.errors.clone())
                .unwrap_or_default(),
        }
    }

    /// Number of the file's errors that were dropped.
    pub fn more(&self) -> Option<(Arc<PathBuf>, usize)> {
        let more = self.latest.as_ref().map_or(0, |file| file.more);
        let is_told = !matches!(self.harm(), Some(Harm::Told(..)));
        (is_told && more > 0).then(|| (Arc::clone(&self.path), more))
    }

    /// What is in force instead of a file that is wrong as a whole.
    pub fn wrong(&self) -> Option<Wrong> {
        self.harm()?;
        let effect = if self.accepted.is_some() {
            Effect::Kept
        } else {
            Effect::LeftOut
        };
        Some(Wrong {
            origin: self.origin(1),
            name: "the file".to_owned(),
            scope: Scope::File,
            effect,
        })
    }

    /// Returns the origin of a line of the file.
    pub fn origin(&self, line: u32) -> Origin {
        Origin::Line {
            file: Arc::clone(&self.path),
            line,
        }
    }

    /// Returns why the whole file stays as it was, if it does.
    fn harm(&self) -> Option<Harm> {
        if let Some(error) = &self.unreadable {
            return Some(Harm::Told(1, format!("cannot be read: {error}")));
        }
        let latest = self.latest.as_ref()?;
        let lost = || {
            self.lost
                .as_ref()
                .map(|lost| Harm::Told(lost.line, lost.reason.clone()))
        };
        let told = self
            .cut(latest)
            .or_else(lost)
            .or_else(|| self.blank(latest));
        told.or_else(|| latest.is_useless().then_some(Harm::Useless))
    }

    /// Detects a truncated file. A file that lost only its end is still being written, or its
    /// writer died, unless the rest ends with a complete line and still serves everything. A file
    /// that was moved into place, or that a link now leads to, is whole.
    fn cut(&self, latest: &File) -> Option<Harm> {
        let good = &self.accepted.as_ref()?.file;
        let (now, before) = (latest.text.bytes(), good.text.bytes());
        // A text that was dropped cannot be compared.
        let is_known = !latest.is_useless() && !good.is_useless();
        if !is_known
            || now.len() >= before.len()
            || !before.starts_with(now)
            || latest.identity != good.identity
        {
            return None;
        }
        let whole = now.ends_with(b"\n")
            && latest.errors.is_empty()
            && latest.contents.keeps(&good.contents);
        let same = (&latest.contents, &latest.wrong) == (&good.contents, &good.wrong);
        if whole || same {
            return None;
        }
        let reason = format!(
            "half-written: only the first {} of {} bytes are left, so the services stay as they were; \
             if this is meant, move a new file into its place, or add a comment line at its end",
            now.len(),
            before.len()
        );
        Some(Harm::Told(last_line(now), reason))
    }

    /// Detects a file without any object, which a full disk or a crash may leave.
    fn blank(&self, latest: &File) -> Option<Harm> {
        let reason = "names no service, so its services stay as they were; to have none, write `services: []` into it or remove it";
        (latest.is_blank() && self.serves()).then(|| Harm::Told(1, reason.to_owned()))
    }

    fn error(&self, line: u32, reason: String) -> ConfigError {
        ConfigError {
            origin: self.origin(line),
            field: String::new(),
            reason,
        }
    }
}

/// Whether an unreadable part may hold objects.
fn hides(file: &File) -> bool {
    Kind::ALL.into_iter().any(|kind| file.may_hide(kind))
}

/// Why a file as a whole stays as it was.
enum Harm {
    /// Line and reason.
    Told(u32, String),
    /// Nothing in the file can be read; its own errors tell why.
    Useless,
}
