//! A directory of service files, and the source that it belongs to.

use std::{collections::HashMap, fmt, path::PathBuf, str::FromStr, sync::Arc};

use thiserror::Error;

use super::value::is_name;

/// Name of a source of configuration; absent for the local one. Ordered by preference.
pub type Source = Option<Arc<str>>;

/// `[NAME=]DIR`. All directories without a name belong to the local source, which may be written as
/// `local`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceDir {
    /// Source of the files.
    pub name: Source,
    /// The directory.
    pub path: PathBuf,
}

/// Why directories cannot be read as given.
#[derive(Error, Clone, PartialEq, Eq, Debug)]
pub enum ServiceDirError {
    /// The path is missing.
    #[error("source {0} names no directory: write {0}=DIR")]
    NoPath(String),
    /// The text is empty.
    #[error("an empty text names no directory: write DIR or NAME=DIR, or leave it out")]
    Empty,
    /// A directory belongs to one source only.
    #[error("directory {0} is given for two sources")]
    TwoSources(PathBuf),
}

impl ServiceDir {
    /// Fails if a directory belongs to two sources.
    pub fn check(directories: &[Self]) -> Result<(), ServiceDirError> {
        let mut names = HashMap::new();
        for Self { name, path } in directories {
            if names
                .insert(path, name)
                .is_some_and(|earlier| earlier != name)
            {
                return Err(ServiceDirError::TwoSources(path.clone()));
            }
        }
        Ok(())
    }
}

impl FromStr for ServiceDir {
    type Err = ServiceDirError;

    /// Parses `[NAME=]DIR`. A path may contain a `=` as well: the text before it is a name only if
    /// it looks like one.
    fn from_str(text: &str) -> Result<Self, ServiceDirError> {
        match text.split_once('=').filter(|(name, _)| is_name(name)) {
            Some((name, "")) => Err(ServiceDirError::NoPath(name.to_owned())),
            Some(("local", path)) => Ok(PathBuf::from(path).into()),
            Some((name, path)) => Ok(Self {
                name: Some(name.into()),
                path: path.into(),
            }),
            None if text.is_empty() => Err(ServiceDirError::Empty),
            None => Ok(PathBuf::from(text).into()),
        }
    }
}

impl From<PathBuf> for ServiceDir {
    fn from(path: PathBuf) -> Self {
        Self { name: None, path }
    }
}

impl fmt::Display for ServiceDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}={}", self.path.display()),
            None => write!(f, "{}", self.path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_looks_like_one() {
        let parse = |text: &str| text.parse::<ServiceDir>();
        let dir = |name: Option<&str>, path: &str| {
            Ok(ServiceDir {
                name: name.map(Into::into),
                path: path.into(),
            })
        };
        assert_eq!(parse("/etc/services"), dir(None, "/etc/services"));
        assert_eq!(
            parse("east=/etc/services"),
            dir(Some("east"), "/etc/services")
        );
        assert_eq!(parse("east=a=b"), dir(Some("east"), "a=b"));
        assert_eq!(parse("local=/etc/services"), dir(None, "/etc/services"));
        assert_eq!(parse("./east=b"), dir(None, "./east=b"));
        assert_eq!(parse("East=b"), dir(None, "East=b"));
        assert_eq!(parse("=b"), dir(None, "=b"));
        assert_eq!(parse("east="), Err(ServiceDirError::NoPath("east".into())));
        assert_eq!(parse(""), Err(ServiceDirError::Empty));
        assert_eq!(parse("east=/x").unwrap().to_string(), "east=/x");
        assert_eq!(parse("/x").unwrap().to_string(), "/x");
    }

    #[test]
    fn a_directory_is_of_one_source() {
        let check = |texts: &[&str]| {
            let directories: Vec<ServiceDir> =
                texts.iter().map(|text| text.parse().unwrap()).collect();
            ServiceDir::check(&directories)
        };
        assert_eq!(
            check(&["/a", "/a", "east=/b", "east=/b", "east=/c"]),
            Ok(())
        );
        assert_eq!(
            check(&["/a", "east=/a/"]),
            Err(ServiceDirError::TwoSources("/a/".into()))
        );
    }
}
