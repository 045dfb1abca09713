//! The sums that are carried over from the maps of an earlier agent, each as one word of a request.

use crate::abi::Resource;

/// A sum that only programs change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sum {
    /// A place in a row of COUNTERS.
    Counter(u8),
    /// [`BackendLoad::connects`](crate::abi::BackendLoad::connects)
    Connects,
    /// A row of QUOTAS.
    Quota(Resource),
    /// A row of COOKIE_FILTER.
    Cookies,
}

impl Sum {
    const CONNECTS: u32 = 1 << 8;
    const COOKIES: u32 = 2 << 8;
    const QUOTA: u32 = 3 << 8;

    /// Encodes the sum as one word.
    pub const fn code(self) -> u32 {
        match self {
            Self::Counter(place) => place as u32,
            Self::Connects => Self::CONNECTS,
            Self::Cookies => Self::COOKIES,
            Self::Quota(resource) => Self::QUOTA + resource as u32,
        }
    }

    /// Decodes what [`code`](Self::code) encodes.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lower byte")]
    pub const fn of(code: u32) -> Option<Self> {
        Some(match code & !0xff {
            0 => Self::Counter(code as u8),
            Self::CONNECTS => Self::Connects,
            Self::COOKIES => Self::Cookies,
            Self::QUOTA => Self::Quota(match code as u8 {
                0 => Resource::Sockets,
                1 => Resource::Flows,
                2 => Resource::MoreFlows,
                _ => Resource::Affinity,
            }),
            _ => return None,
        })
    }
}
