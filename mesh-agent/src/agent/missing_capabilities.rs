//! Turns off features for which the agent lacks a capability.

use tracing::warn;

use crate::{config::Settings, dataplane::privileges::Capabilities};

/// Turns off features for which the process lacks a capability; logs each once, and returns the
/// lines for `status`.
pub(super) fn turn_off(settings: &mut Settings, capabilities: &Capabilities) -> Vec<String> {
    let degraded = lack(settings.enter_namespaces, capabilities);
    settings.enter_namespaces &= capabilities.enter_namespaces();
    degraded
        .into_iter()
        .inspect(|line| warn!("{line}"))
        .map(str::to_owned)
        .collect()
}

fn lack(enter_namespaces: bool, capabilities: &Capabilities) -> Option<&'static str> {
    match (
        enter_namespaces,
        capabilities.enter_namespaces(),
        capabilities.see_processes(),
    ) {
        (false, _, _) | (true, true, true) => None,
        (true, false, _) => Some(
            "sockets of pods and containers are not closed when their endpoint leaves: that needs CAP_SYS_ADMIN and \
             CAP_SYS_PTRACE; give both to the agent, or set --enter-namespaces=false",
        ),
        (true, true, false) => Some(
            "sockets in network namespaces that no file names are not closed when their endpoint leaves: that needs \
             CAP_SYS_PTRACE; give it to the agent, or set --enter-namespaces=false",
        ),
    }
}

#[cfg(test)]
mod tests {
    use caps::Capability;

    use super::*;
    use crate::dataplane::privileges::tests::{all, three, without};

    #[test]
    fn missing_capability_is_named_when_a_feature_needs_it() {
        assert_eq!((lack(true, &all()), lack(false, &three())), (None, None));
        assert!(
            lack(true, &three())
                .unwrap()
                .contains("CAP_SYS_ADMIN and CAP_SYS_PTRACE; give both to the agent")
        );
        assert!(
            lack(true, &without(Capability::CAP_SYS_PTRACE))
                .unwrap()
                .contains("needs CAP_SYS_PTRACE; give it to the agent")
        );
    }
}
