//! Detects that a file was rewritten in place and lacks its previous last object. Its writer may
//! still be writing, may have died, or may have removed the object on purpose. A valid file that
//! has not changed for ten seconds counts as whole.

use std::time::{Duration, Instant};

use serde::de::IgnoredAny;

use crate::source::{
    file::File,
    object::{Item, Key},
};

/// How long a possibly half-written file must stay unchanged. Writers pause for less.
pub const SETTLES: Duration = Duration::from_secs(10);

/// A possibly missing end.
pub struct LostEnd {
    /// Line on which the file ends now.
    pub line: u32,
    /// Description of what is missing and what to do.
    pub reason: String,
    /// When the file counts as whole unless it changes; never where it ends in the middle of a line
    /// and is shorter.
    settles: Option<Instant>,
}

impl LostEnd {
    /// Returns the end of the last whole version that the latest version, read at `now`, may lack.
    pub fn of(latest: &File, good: &File, now: Instant) -> Option<Self> {
        let (text, before) = (latest.text.bytes(), good.text.bytes());
        let may_lack = latest.identity == good.identity && !has_end(text, before);
        let told_otherwise =
            latest.ends_wrong || !latest.broken.is_empty() || latest.says_nothing();
        let same = || (&latest.contents, &latest.wrong) == (&good.contents, &good.wrong);
        if !may_lack || told_otherwise || good.is_useless() || same() {
            return None;
        }
        let is_cut = before.ends_with(b"\n") && !text.ends_with(b"\n");
        let lost = lost(latest, good)
            .or_else(|| is_cut.then(|| "ends in the middle of a line".to_owned()))?;
        let stays = is_cut && text.len() < before.len();
        let (until, how) = match stays {
            true => (String::new(), "if this is meant"),
            false => (
                format!(
                    " until the file has not changed for {} seconds",
                    SETTLES.as_secs()
                ),
                "to have it at once",
            ),
        };
        let reason = format!(
            "may be half-written: it was changed in place and {lost}, so the services stay as they were{until}; {how}, move \
             a new file into its place, or add a comment line at its end"
        );
        Some(Self {
            line: last_line(text),
            reason,
            settles: (!stays).then(|| now + SETTLES),
        })
    }

    /// Whether the file has been unchanged for long enough.
    pub fn is_over(&self, now: Instant) -> bool {
        self.settles.is_some_and(|settles| settles <= now)
    }
}

/// Returns the number of the last line of a text.
pub fn last_line(text: &[u8]) -> u32 {
    u32::try_from(text.split(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

/// Whether a text shows that it is whole: it is JSON, or its last line is `...`, a new comment, or
/// the comment that ended it before.
fn has_end(text: &[u8], before: &[u8]) -> bool {
    if text.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(text).is_ok() {
        return true;
    }
    let lines = |text| {
        <[u8]>::trim_ascii_end(text)
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii)
    };
    let Some(last) = lines(text).next_back() else {
        return false;
    };
    let is_new = || !lines(before).any(|line| line.starts_with(last));
    last == b"..."
        || last.starts_with(b"#") && (lines(before).next_back() == Some(last) || is_new())
}

/// Describes what is missing at the end.
fn lost(latest: &File, good: &File) -> Option<String> {
    let (now, before) = (objects(latest), objects(good));
    let (_, end) = last(&before)?;
    if now.len() < before.len() && !now.iter().any(|(_, key)| key == end) {
        return Some(format!("no longer has {end}, which was its last object"));
    }
    let (_, end) = last(&now)?;
    let is_closed = matches!(
        latest.text.bytes().trim_ascii_end().last(),
        Some(b']' | b'}')
    );
    (!is_closed && has_endpoints(good, end) && !has_endpoints(latest, end))
        .then(|| format!("no longer has the endpoints of {end}, which is its last object"))
}

/// Returns all objects by line, right or wrong.
fn objects(file: &File) -> Vec<(u32, Key)> {
    let right = file
        .contents
        .objects()
        .map(|(key, item)| (item.line(), key));
    let wrong = file
        .wrong
        .iter()
        .filter_map(|it| Some((it.line, it.key.clone()?)));
    right.chain(wrong).collect()
}

fn last(objects: &[(u32, Key)]) -> Option<&(u32, Key)> {
    objects.iter().max_by_key(|(line, _)| *line)
}

fn has_endpoints(file: &File, of: &Key) -> bool {
    let items = file.contents.objects().filter(|(key, _)| key == of);
    items.map(|(_, item)| item).any(|item| match item {
        Item::Native(service) => service.ports.iter().any(|port| !port.endpoints.is_empty()),
        Item::Slice(slice) => !slice.endpoints.is_empty(),
        Item::NativeLeftOut(_) | Item::Declared(_) | Item::LeftOut(_) => false,
    })
}
