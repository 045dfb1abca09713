//! Kernel features that the programs need or use, and that some kernels lack. Probes the running
//! kernel, returns what is [loaded differently](Adapted), or the [reason](Unsupported) to load
//! nothing.
//!
//! Only probes decide, never version numbers: distributions backport features. Versions are in the
//! messages, for a user who looks for a kernel.

use std::{collections::BTreeSet, env, io};

use aya::{
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported},
};

use super::{exclude, sys, verify};

/// Environment variable with features, separated by commas, that are treated as missing: for tests.
const PRETEND_MISSING: &str = "MESH_TEST_MISSING_FEATURES";

/// A feature of the kernel that the programs use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Feature {
    SetRetval,
    NetnsOfConnections,
    NetnsCookie,
    FetchingAtomics,
    CoarseClock,
    SocketStorage,
}

impl Feature {
    const ALL: [Self; 6] = [
        Self::SetRetval,
        Self::NetnsOfConnections,
        Self::NetnsCookie,
        Self::FetchingAtomics,
        Self::CoarseClock,
        Self::SocketStorage,
    ];

    /// Returns the name and the first Linux that has it.
    const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::SetRetval => ("bpf_set_retval", "5.18"),
            Self::NetnsOfConnections => ("bpf_get_netns_cookie in sock_ops programs", "5.15"),
            Self::NetnsCookie => ("SO_NETNS_COOKIE", "5.14"),
            Self::FetchingAtomics => ("BPF atomic operations that return a value", "5.12"),
            Self::CoarseClock => ("bpf_ktime_get_coarse_ns", "5.11"),
            Self::SocketStorage => ("bpf_sk_storage_get in cgroup programs", "5.10"),
        }
    }

    /// Returns what is different without it, or none if nothing can be loaded.
    const fn without(self) -> Option<&'static str> {
        match self {
            Self::SetRetval => {
                Some("a service without a usable endpoint fails with EPERM instead of ECONNREFUSED")
            }
            Self::NetnsOfConnections
            | Self::NetnsCookie
            | Self::FetchingAtomics
            | Self::CoarseClock
            | Self::SocketStorage => None,
        }
    }

    /// Returns whether the running kernel has it. What cannot be found out counts as present: then
    /// the verifier's refusal names the reason.
    fn is_present(self) -> bool {
        let has = |program, helper| is_helper_supported(program, helper).unwrap_or(true);
        match self {
            Self::SetRetval => has(ProgramType::CgroupSockAddr, BpfHelper::BPF_FUNC_set_retval),
            Self::NetnsOfConnections => {
                has(ProgramType::SockOps, BpfHelper::BPF_FUNC_get_netns_cookie)
            }
            Self::NetnsCookie => {
                let lacks = |error: io::Error| error.raw_os_error() == Some(libc::ENOPROTOOPT);
                !exclude::own_netns().is_err_and(lacks)
            }
            Self::FetchingAtomics => {
                let lacks = |error: io::Error| error.raw_os_error() == Some(libc::EINVAL);
                !sys::load_atomic_fetch().is_err_and(lacks)
            }
            Self::CoarseClock => has(
                ProgramType::CgroupSockAddr,
                BpfHelper::BPF_FUNC_ktime_get_coarse_ns,
            ),
            Self::SocketStorage => [ProgramType::CgroupSockAddr, ProgramType::CgroupSock]
                .into_iter()
                .all(|program| has(program, BpfHelper::BPF_FUNC_sk_storage_get)),
        }
    }
}

/// The kernel lacks features without which nothing can be loaded.
#[derive(Debug, thiserror::Error)]
#[error("Linux {release} lacks what the programs need: {missing}; run Linux {needed} or later")]
pub struct Unsupported {
    /// Version of the running kernel.
    release: String,
    /// Each missing feature with the first Linux that has it.
    missing: String,
    /// The first Linux that has all of them.
    needed: &'static str,
}

/// How the programs are adapted to a kernel that lacks optional features.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Adapted {
    /// Whether a refused connect gets its own error, see HAS_SET_RETVAL in the programs.
    pub(super) has_set_retval: bool,
    /// A line for each missing feature: its name, and what is different.
    pub differences: Vec<String>,
}

/// Probes the running kernel.
pub(super) fn probe() -> Result<Adapted, Unsupported> {
    let pretended = env::var(PRETEND_MISSING).unwrap_or_default();
    let is_missing = |feature: &Feature| {
        let (name, _) = feature.name();
        pretended.split(',').any(|missing| missing == name) || !feature.is_present()
    };
    adapt(
        &Feature::ALL.into_iter().filter(is_missing).collect(),
        &verify::release(),
    )
}

/// Decides what is loaded on a kernel that lacks these features.
fn adapt(missing: &BTreeSet<Feature>, release: &str) -> Result<Adapted, Unsupported> {
    let needed: Vec<_> = missing
        .iter()
        .filter(|feature| feature.without().is_none())
        .map(|feature| feature.name())
        .collect();
    // The newest is the first, as in the enum.
    if let Some((_, newest)) = needed.first() {
        let missing = needed
            .iter()
            .map(|(name, since)| format!("{name} ({since})"));
        return Err(Unsupported {
            release: release.into(),
            missing: missing.collect::<Vec<_>>().join(", "),
            needed: newest,
        });
    }
    let difference = |feature: &Feature| {
        let (name, since) = feature.name();
        let effect = feature.without()?;
        Some(format!("the kernel lacks {name} (Linux {since}): {effect}"))
    };
    Ok(Adapted {
        has_set_retval: !missing.contains(&Feature::SetRetval),
        differences: missing.iter().filter_map(difference).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(missing: &[Feature]) -> Result<Adapted, String> {
        adapt(&missing.iter().copied().collect(), "5.10.0-46-amd64")
            .map_err(|unsupported| unsupported.to_string())
    }

    #[test]
    fn a_kernel_with_all_features_changes_nothing() {
        let whole = Adapted {
            has_set_retval: true,
            differences: Vec::new(),
        };
        assert_eq!(on(&[]), Ok(whole));
    }

    #[test]
    fn without_bpf_set_retval_the_programs_load_and_the_other_error_is_named() {
        let line = "the kernel lacks bpf_set_retval (Linux 5.18): a service without a usable endpoint fails with EPERM \
                    instead of ECONNREFUSED";
        let adapted = Adapted {
            has_set_retval: false,
            differences: vec![line.into()],
        };
        assert_eq!(on(&[Feature::SetRetval]), Ok(adapted));
    }

    #[test]
    fn one_sentence_names_all_that_is_needed_and_the_first_kernel_that_has_it() {
        let missing = [
            Feature::CoarseClock,
            Feature::SetRetval,
            Feature::FetchingAtomics,
        ];
        assert_eq!(
            on(&missing).unwrap_err(),
            "Linux 5.10.0-46-amd64 lacks what the programs need: BPF atomic operations that return a value (5.12), \
             bpf_ktime_get_coarse_ns (5.11); run Linux 5.12 or later"
        );
    }

    #[test]
    fn features_are_in_the_order_of_the_kernels_that_brought_them() {
        let versions = Feature::ALL.map(|feature| {
            let (_, since) = feature.name();
            since
                .split('.')
                .map(|part| part.parse::<u32>().unwrap())
                .collect::<Vec<_>>()
        });
        assert!(versions.is_sorted_by(|newer, older| newer >= older));
        assert!(Feature::ALL.is_sorted());
    }
}
