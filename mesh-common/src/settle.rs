//! Requests of the agent to the kernel programs between hooks: to release what lost sockets hold,
//! to correct counts, and to carry over sums of an earlier agent's maps. Takes a [`Request`] as five
//! words. The programs carry it out, so that each release follows one rule and happens exactly once,
//! whichever hook runs at the same moment.

use crate::{
    abi::{Resource, ShareKey},
    limits::{Shares, correct_share},
    occupancy::{self, epoch},
    socket,
    sum::Sum,
};

/// One request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// The socket with this cookie seems to be gone or not connected.
    Suspect(u64),
    /// The socket with this cookie was suspected long ago: releases what it holds.
    Settle(u64),
    /// The socket with this cookie was settled long ago: removes its row.
    Forget(u64),
    /// Adds to the counts of a backend with this index and generation; negative numbers subtract.
    /// Clears its expired reservations.
    Backend {
        /// Index.
        index: u32,
        /// Generation.
        generation: u32,
        /// Sockets.
        live: i32,
        /// Of them, connecting sockets.
        connecting: i32,
    },
    /// Adds to the count of the service with this id; a negative number subtracts. Clears its
    /// expired reservations.
    Service {
        /// Id.
        id: u32,
        /// Sockets.
        live: i32,
    },
    /// Adds to the count of a client's share of a service's connections; a negative number
    /// subtracts.
    Share {
        /// Service and client.
        of: ShareKey,
        /// Sockets.
        live: i32,
    },
    /// Takes rows of AFFINITY off the quota of a client.
    Affinity {
        /// Client.
        client: u32,
        /// Rows.
        rows: u32,
    },
    /// Adds to a sum in a row, wrapping: what the programs of an earlier agent counted.
    Add {
        /// Which sum.
        sum: Sum,
        /// Index of the row.
        row: u32,
        /// Amount.
        by: u64,
    },
}

/// A request as the words that the kernel program gets.
pub type Words = [u32; 5];

impl Request {
    /// Encodes the request.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
    pub const fn words(self) -> Words {
        match self {
            Self::Suspect(cookie) => [5, cookie as u32, (cookie >> 32) as u32, 0, 0],
            Self::Settle(cookie) => [0, cookie as u32, (cookie >> 32) as u32, 0, 0],
            Self::Forget(cookie) => [1, cookie as u32, (cookie >> 32) as u32, 0, 0],
            Self::Backend {
                index,
                generation,
                live,
                connecting,
            } => [
                2,
                index,
                generation,
                live.cast_unsigned(),
                connecting.cast_unsigned(),
            ],
            Self::Service { id, live } => [3, id, live.cast_unsigned(), 0, 0],
            Self::Affinity { client, rows } => [4, client, rows, 0, 0],
            Self::Add { sum, row, by } => [7, sum.code(), row, by as u32, (by >> 32) as u32],
            Self::Share { of, live } => [6, of.service, of.client, live.cast_unsigned(), 0],
        }
    }

    /// Decodes words; none for an unknown request.
    #[inline(always)]
    pub const fn of(words: Words) -> Option<Self> {
        let [kind, one, two, three, four] = words;
        let cookie = one as u64 | (two as u64) << 32;
        Some(match kind {
            5 => Self::Suspect(cookie),
            0 => Self::Settle(cookie),
            1 => Self::Forget(cookie),
            2 => Self::Backend {
                index: one,
                generation: two,
                live: three.cast_signed(),
                connecting: four.cast_signed(),
            },
            3 => Self::Service {
                id: one,
                live: two.cast_signed(),
            },
            4 => Self::Affinity {
                client: one,
                rows: two,
            },
            6 => Self::Share {
                of: ShareKey {
                    service: one,
                    client: two,
                },
                live: three.cast_signed(),
            },
            7 => match Sum::of(one) {
                Some(sum) => Self::Add {
                    sum,
                    row: two,
                    by: three as u64 | (four as u64) << 32,
                },
                None => return None,
            },
            _ => return None,
        })
    }
}

/// Carries out a request. Ignores it when the row is gone.
#[inline(always)]
pub fn settle<K: Shares>(kernel: &K, request: Request) {
    match request {
        Request::Suspect(cookie) => socket::suspected(kernel, cookie),
        Request::Settle(cookie) => socket::settled(kernel, cookie),
        Request::Forget(cookie) => socket::forgotten(kernel, cookie),
        Request::Backend {
            index,
            generation,
            live,
            connecting,
        } => {
            if let Some(backend) = kernel
                .backend(index)
                .filter(|backend| backend.row.generation == generation)
            {
                occupancy::correct(
                    &backend.live,
                    epoch(kernel.coarse_now()),
                    units(live, connecting),
                );
            }
        }
        Request::Service { id, live } => {
            if let Some(service) = kernel.live_service(id) {
                occupancy::correct(
                    &service.connections,
                    epoch(kernel.coarse_now()),
                    units(live, 0),
                );
            }
        }
        Request::Share { of, live } => correct_share(kernel, of, units(live, 0)),
        Request::Add { sum, row, by } => kernel.add_to(sum, row, by),
        Request::Affinity { client, rows } => kernel.give_back(client, Resource::Affinity, rows),
    }
}

/// Encodes two differences as one difference of an [`occupancy`] word.
#[inline(always)]
const fn units(live: i32, connecting: i32) -> u64 {
    let (live, connecting) = (live as i64 as u64, connecting as i64 as u64);
    live.wrapping_mul(occupancy::LIVE)
        .wrapping_add(connecting.wrapping_mul(occupancy::CONNECTING))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(sum: Sum) -> Request {
        Request::Add {
            sum,
            row: u32::MAX,
            by: 7_u64.wrapping_neg(),
        }
    }

    #[test]
    fn a_request_is_what_its_words_say() {
        let requests = [
            Request::Suspect(1 << 63),
            Request::Settle(0x0123_4567_89ab_cdef),
            Request::Forget(u64::MAX),
            Request::Backend {
                index: 7,
                generation: u32::MAX,
                live: -3,
                connecting: 2,
            },
            Request::Service {
                id: 9,
                live: i32::MIN,
            },
            Request::Affinity { client: 5, rows: 6 },
            Request::Share {
                of: ShareKey {
                    service: 7,
                    client: u32::MAX,
                },
                live: -8,
            },
            add(Sum::Counter(15)),
            add(Sum::Connects),
            add(Sum::Cookies),
            add(Sum::Quota(Resource::Sockets)),
            add(Sum::Quota(Resource::Flows)),
            add(Sum::Quota(Resource::MoreFlows)),
            add(Sum::Quota(Resource::Affinity)),
        ];
        for request in requests {
            assert_eq!(Request::of(request.words()), Some(request));
        }
        assert_eq!(Request::of([8, 0, 0, 0, 0]), None);
        assert_eq!(Request::of([7, 4 << 8, 0, 0, 0]), None);
    }

    #[test]
    fn a_difference_leaves_the_other_counts_alone() {
        let word = 40 * occupancy::LIVE + 3 * occupancy::CONNECTING + (9 << 44);
        let after = word.wrapping_add(units(-30, -3));
        assert_eq!(
            (
                occupancy::live(after),
                occupancy::connecting(after),
                after >> 44
            ),
            (10, 0, 9)
        );
        let after = word.wrapping_add(units(5, -1));
        assert_eq!(
            (
                occupancy::live(after),
                occupancy::connecting(after),
                after >> 44
            ),
            (45, 2, 9)
        );
    }
}
