//! Where an agent is on a node, as far as it can be told to be elsewhere.

use std::path::Path;

use super::Settings;

/// `--pin-dir` where none is given.
pub(super) const PIN_DIR: &str = "/sys/fs/bpf/mesh-agent";
/// `--socket` where none is given.
pub(super) const SOCKET: &str = "/run/mesh-agent/agent.sock";
/// `--state-dir` where none is given.
pub(super) const STATE_DIR: &str = "/var/lib/mesh-agent";

impl Settings {
    /// Whether the socket may be that of an agent with another pin directory: one of the two is the
    /// default, the other not.
    pub fn socket_may_be_anothers(&self) -> bool {
        (self.socket == Path::new(SOCKET)) != (self.pin_dir == Path::new(PIN_DIR))
    }

    /// The command that takes this agent out, with every path that it must be told.
    pub fn uninstall_command(&self) -> String {
        let paths = [
            ("--pin-dir", &self.pin_dir, PIN_DIR),
            ("--state-dir", &self.state_dir, STATE_DIR),
            ("--socket", &self.socket, SOCKET),
        ];
        let given = paths
            .into_iter()
            .filter(|(_, path, default)| *path != Path::new(default));
        let words = given.map(|(flag, path, _)| format!(" {flag} {}", path.display()));
        words.fold("mesh-agent uninstall".to_owned(), |line, word| line + &word)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Flags, Given};

    #[test]
    fn command_that_uninstalls_has_the_paths_that_are_not_defaults() {
        let settings = |given: Given| {
            let given = Given {
                cgroup: Some("/cg".into()),
                ..given
            };
            Flags {
                config: None,
                given,
            }
            .resolve()
            .unwrap()
        };
        assert_eq!(
            settings(Given::default()).uninstall_command(),
            "mesh-agent uninstall"
        );
        let (pin_dir, socket) = (Some("/sys/fs/bpf/b".into()), Some("/run/b.sock".into()));
        let beside = settings(Given {
            pin_dir: pin_dir.clone(),
            socket,
            ..Given::default()
        });
        let expected = "mesh-agent uninstall --pin-dir /sys/fs/bpf/b --socket /run/b.sock";
        assert_eq!(
            (
                &*beside.uninstall_command(),
                beside.socket_may_be_anothers()
            ),
            (expected, false)
        );
        assert!(
            settings(Given {
                pin_dir,
                ..Given::default()
            })
            .socket_may_be_anothers()
        );
    }
}
