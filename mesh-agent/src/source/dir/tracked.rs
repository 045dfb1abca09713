//! One file over time: what it is now, and what it was when it was last good.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::Source,
    model::{ConfigError, Origin},
    source::{file::File, scan::Found},
};

/// A file and its versions.
pub struct Tracked {
    path: Arc<PathBuf>,
    /// The source that it is a part of.
    pub source: Source,
    /// As it was found last; nothing when it could never be read.
    latest: Option<Arc<File>>,
    /// The read that found it so first.
    pub changed: u64,
    /// The version that is served.
    pub accepted: Option<Arc<File>>,
    /// Why it cannot be read now.
    pub unreadable: Option<String>,
    /// Whether it was there before anything was read: then an earlier agent may have served it.
    at_start: bool,
}

impl Tracked {
    /// A file that was not there before.
    pub fn new(path: &Path, source: Source, at_start: bool) -> Self {
        let path = Arc::new(path.to_owned());
        Self { path, source, latest: None, changed: 0, accepted: None, unreadable: None, at_start }
    }

    /// Whether this is what was found last time.
    pub fn is(&self, found: &Found) -> bool {
        self.latest.as_ref().is_some_and(|file| file.bytes == found.bytes && file.identity == found.identity)
    }

    /// Notes a new version, found by this read.
    pub fn set_latest(&mut self, mut file: File, read: u64) {
        file.contents.mark(&self.source);
        self.latest = Some(Arc::new(file));
        self.changed = read;
        self.unreadable = None;
    }

    /// The version to serve if nothing but the file itself matters.
    pub fn fit(&self) -> Option<&Arc<File>> {
        let latest = self.latest.as_ref().filter(|latest| latest.errors.is_empty() && self.cut().is_none());
        latest.or(self.accepted.as_ref())
    }

    /// Whether it has services now.
    pub fn serves(&self) -> bool {
        let contents = self.accepted.as_ref().map(|file| &file.contents);
        contents.is_some_and(|it| !it.services.is_empty() || !it.manifests.services.is_empty())
    }

    /// Whether no service can be missing for want of this file.
    pub fn is_complete(&self) -> bool {
        let wrong = self.unreadable.is_some() || self.latest.as_ref().is_none_or(|file| !file.errors.is_empty());
        self.accepted.is_some() || !(self.at_start || wrong)
    }

    /// What is wrong with the file in itself.
    pub fn errors(&self) -> Vec<ConfigError> {
        if let Some(error) = &self.unreadable {
            return vec![self.error(1, format!("cannot be read: {error}"))];
        }
        let cut = self.cut().map(|(line, reason)| vec![self.error(line, reason)]);
        cut.or_else(|| self.latest.as_ref().map(|file| file.errors.clone())).unwrap_or_default()
    }

    /// A file that lost its end and nothing else is one that somebody is still writing, or stopped writing, unless
    /// what is left ends with a line and still serves everything. A file that was moved into place, or that a link now
    /// leads to, is whole: whoever moved it has written it.
    fn cut(&self) -> Option<(u32, String)> {
        let (latest, good) = (self.latest.as_ref()?, self.accepted.as_ref()?);
        let shorter = latest.bytes.len() < good.bytes.len() && good.bytes.starts_with(&latest.bytes);
        if !shorter || latest.identity != good.identity {
            return None;
        }
        let whole = latest.bytes.ends_with(b"\n") && latest.contents.keeps(&good.contents);
        let harmless = latest.errors.is_empty() && (whole || latest.contents == good.contents);
        if harmless {
            return None;
        }
        let lines = latest.bytes.split(|byte| *byte == b'\n').count();
        let reason = format!(
            "half-written: only the first {} of {} bytes are left, so the services stay as they were; \
             if this is meant, move a new file into its place, or add a comment line at its end",
            latest.bytes.len(),
            good.bytes.len()
        );
        Some((u32::try_from(lines).unwrap_or(u32::MAX), reason))
    }

    fn error(&self, line: u32, reason: String) -> ConfigError {
        ConfigError { origin: Origin { file: Arc::clone(&self.path), line }, field: String::new(), reason }
    }
}
