//! The words of each type of the model that is written as words.

use super::{
    AffinityClient, Balance, Condition, HashKey, InternalTraffic, LocalityLevel, Protocol,
    SourcePreference, words::Words,
};

impl Words for Balance {
    const ALL: &'static [Self] = &[
        Self::LeastConnections,
        Self::LatencyAware,
        Self::Random,
        Self::RoundRobin,
        Self::ConsistentHash(HashKey::NetworkNamespace),
    ];
    const HYPHENS: bool = true;

    /// Returns the word of the policy, without the hash key.
    fn word(self) -> &'static str {
        match self {
            Self::LeastConnections => "leastConnections",
            Self::LatencyAware => "latencyAware",
            Self::Random => "random",
            Self::RoundRobin => "roundRobin",
            Self::ConsistentHash(_) => "consistentHash",
        }
    }
}

impl Words for HashKey {
    const ALL: &'static [Self] = &[Self::NetworkNamespace, Self::Cgroup, Self::SourceAddress];
    const HYPHENS: bool = true;

    fn word(self) -> &'static str {
        match self {
            Self::NetworkNamespace => "namespace",
            Self::Cgroup => "cgroup",
            Self::SourceAddress => "sourceAddress",
        }
    }
}

impl Words for AffinityClient {
    const ALL: &'static [Self] = &[Self::NetworkNamespace, Self::Cgroup];

    fn word(self) -> &'static str {
        match self {
            Self::NetworkNamespace => "namespace",
            Self::Cgroup => "cgroup",
        }
    }
}

impl Words for Protocol {
    const ALL: &'static [Self] = &[Self::Tcp, Self::Udp];

    fn word(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

impl Words for Condition {
    const ALL: &'static [Self] = &[Self::Ready, Self::Terminating, Self::NotReady];

    fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Terminating => "terminating",
            Self::NotReady => "notReady",
        }
    }
}

impl Words for InternalTraffic {
    const ALL: &'static [Self] = &[Self::Cluster, Self::Local];

    fn word(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
}

impl Words for LocalityLevel {
    const ALL: &'static [Self] = &[Self::Node, Self::Zone, Self::Region, Self::Cloud];

    fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Zone => "zone",
            Self::Region => "region",
            Self::Cloud => "cloud",
        }
    }
}

impl Words for SourcePreference {
    const ALL: &'static [Self] = &[Self::Local, Self::Remote, Self::None];

    fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::None => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::hyphenated;

    fn read_back<T: Words + PartialEq + std::fmt::Debug>() {
        for value in T::ALL {
            assert_eq!(T::of_word(value.word()), Some(*value));
            let hyphenated = hyphenated(value.word());
            let is_read = T::HYPHENS || hyphenated == value.word();
            assert_eq!(T::of_word(&hyphenated), is_read.then_some(*value));
        }
        assert_eq!(T::of_word(""), None);
    }

    #[test]
    fn each_word_is_read_as_its_value() {
        read_back::<Balance>();
        read_back::<HashKey>();
        read_back::<AffinityClient>();
        read_back::<Protocol>();
        read_back::<Condition>();
        read_back::<InternalTraffic>();
        read_back::<LocalityLevel>();
        read_back::<SourcePreference>();
    }

    #[test]
    fn messages_list_all_words() {
        assert_eq!(Protocol::any(), "TCP or UDP");
        assert_eq!(SourcePreference::any(), "local, remote or none");
        let policies = "leastConnections, latencyAware, random, roundRobin or consistentHash";
        assert_eq!(Balance::any(), policies);
    }
}
