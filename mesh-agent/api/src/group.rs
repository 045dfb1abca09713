//! Groups of users, by name or number.

use std::{fmt, fs, str::FromStr};

const FILE: &str = "/etc/group";

/// A group of `/etc/group`, or a number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    name: String,
    id: u32,
}

impl Group {
    /// Returns its number.
    pub fn id(&self) -> u32 {
        self.id
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// There is no such group.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "expected the name of a group in {FILE} or a number, found `{0}`: add it with `groupadd --system {0}`"
)]
pub struct NoGroup(String);

impl FromStr for Group {
    type Err = NoGroup;

    fn from_str(text: &str) -> Result<Self, NoGroup> {
        let known = || find(&fs::read_to_string(FILE).unwrap_or_default(), text);
        let id = text.parse().ok().or_else(known);
        id.map(|id| Self {
            name: text.to_owned(),
            id,
        })
        .ok_or_else(|| NoGroup(text.to_owned()))
    }
}

/// Returns the number of a group in the text of a file (group(5)).
fn find(file: &str, name: &str) -> Option<u32> {
    file.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_named = fields.next() == Some(name) && !name.is_empty();
        is_named.then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_is_found_by_its_whole_name_or_given_as_a_number() {
        let file = "root:x:0:\nmesh:x:991:ann,bob\nmesh-admin:x:992:\n:x:7:\nodd\n";
        let ids = ["mesh", "mesh-admin", "mes", "", "odd"].map(|name| find(file, name));
        assert_eq!(ids, [Some(991), Some(992), None, None, None]);
        assert_eq!("4321".parse::<Group>().map(|group| group.id()), Ok(4321));
        let error = "no such".parse::<Group>().unwrap_err().to_string();
        assert_eq!(
            error,
            "expected the name of a group in /etc/group or a number, found `no such`: add it with `groupadd --system no such`"
        );
    }
}
