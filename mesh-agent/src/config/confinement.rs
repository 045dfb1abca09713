//! Settings about the users of the API, and about what the agent may still do after its start.

use clap::Args;

use super::{
    error::reason,
    text::{self, Parsed, from_file, parsed, valid},
};
use crate::{
    api::{access::Access, group::Group},
    source::settings::Field,
};

/// These settings, from one origin.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Confinement {
    /// Group whose members may open the control socket and read, by name or number; drains and
    /// weights stay with root [default: none: the socket has mode 0600]
    #[arg(long, env = "MESH_SOCKET_GROUP", value_name = "GROUP", value_parser = parsed(text::group))]
    pub(super) socket_group: Option<Parsed<Group>>,
    /// Group whose members may also drain endpoints and set weights; they must be able to open the
    /// socket, which belongs to --socket-group or, without that, to this group [default: none: only
    /// root may]
    #[arg(long, env = "MESH_ADMIN_GROUP", value_name = "GROUP", value_parser = parsed(text::group))]
    pub(super) admin_group: Option<Parsed<Group>>,
    /// Refuse system calls that the agent does not need after its start; turn it off only to find
    /// out whether it is the cause of a problem [default: true]
    #[arg(long, env = "MESH_SYSTEM_CALL_FILTER", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", value_parser = parsed(text::boolean))]
    pub(super) system_call_filter: Option<Parsed<bool>>,
}

impl Confinement {
    /// Notes what is wrong with flags and environment.
    pub(super) fn wrong(&self, note: &mut impl FnMut(&str, Vec<&String>)) {
        note("socket-group", reason(self.socket_group.as_ref()));
        note("admin-group", reason(self.admin_group.as_ref()));
        let filter = self.system_call_filter.as_ref();
        note("system-call-filter", reason(filter));
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self {
            socket_group: self.socket_group.or(other.socket_group),
            admin_group: self.admin_group.or(other.admin_group),
            system_call_filter: self.system_call_filter.or(other.system_call_filter),
        }
    }

    /// Reads the settings file.
    pub(super) fn read(root: Field<'_>) -> Self {
        let group = |name| {
            root.get(name)
                .and_then(|field| from_file(field, text::group))
        };
        let filter = root.get("systemCallFilter");
        Self {
            socket_group: group("socketGroup"),
            admin_group: group("adminGroup"),
            system_call_filter: filter.and_then(Field::boolean).map(Ok),
        }
    }

    /// Returns the groups that may use the API.
    pub(super) fn access(&self) -> Access {
        Access {
            readers: valid(self.socket_group.clone()),
            admins: valid(self.admin_group.clone()),
        }
    }

    /// Returns whether system calls are filtered.
    pub(super) fn filters(&self) -> bool {
        valid(self.system_call_filter.clone()).unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Given, fixture};

    fn resolve(text: &str, confinement: Confinement) -> Result<(Access, bool), Vec<String>> {
        let given = Given {
            confinement,
            ..Given::default()
        };
        let settings = fixture::resolve(text, given)?;
        Ok((settings.access, settings.system_call_filter))
    }

    #[test]
    fn only_root_may_use_the_api_and_system_calls_are_filtered_by_default() {
        let none = Confinement::default();
        assert_eq!(resolve("", none), Ok((Access::default(), true)));
    }

    #[test]
    fn groups_and_the_filter_come_from_the_file_and_from_flags() {
        let text = "socketGroup: '77'\nadminGroup: root\nsystemCallFilter: false\n";
        let given = Confinement {
            socket_group: Some(text::group("78")),
            ..Confinement::default()
        };
        let (access, filters) = resolve(text, given).unwrap();
        let ids = [&access.readers, &access.admins].map(|group| group.as_ref().map(Group::id));
        assert_eq!((ids, filters), ([Some(78), Some(0)], false));
        assert_eq!(access.socket_group().map(Group::id), Some(78));
        let (access, _) = resolve("adminGroup: '7'\n", Confinement::default()).unwrap();
        assert_eq!(access.socket_group().map(Group::id), Some(7));
    }

    #[test]
    fn an_unknown_group_is_named_with_its_place() {
        let given = Confinement {
            admin_group: Some(text::group("")),
            system_call_filter: Some(text::boolean("maybe")),
            ..Confinement::default()
        };
        let expected = "expected the name of a group in /etc/group or a number, found";
        let lines = resolve("socketGroup: no-such\n", given).unwrap_err();
        let starts = [
            format!("agent.yaml:2: socketGroup: {expected} `no-such`"),
            format!("--admin-group (or MESH_ADMIN_GROUP): {expected} ``"),
            "--system-call-filter (or MESH_SYSTEM_CALL_FILTER): expected true or false, found `maybe`".to_owned(),
        ];
        assert_eq!(lines.len(), starts.len(), "{lines:#?}");
        for (line, start) in lines.iter().zip(&starts) {
            assert!(line.starts_with(start), "{line}");
        }
    }
}
