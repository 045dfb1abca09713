//! The flows of one UDP socket, one entry for each service to which it sends: a few in a small
//! record, the others in a second record that only sockets with more services have. Takes a service
//! or an endpoint, returns the number of its entry.
//!
//! Entries of both records are numbered through; [`SocketFlows::last`] is such a number.

use crate::{
    abi::{
        Flow, FrontendKey, MoreFlows, SocketFlows, capacity::FLOWS_AT_FIRST,
        capacity::FLOWS_PER_SOCKET,
    },
    addr::Addr,
    kernel::Caller,
};

/// Entries of both records.
#[expect(clippy::cast_possible_truncation, reason = "a small number")]
pub const ALL: u32 = FLOWS_PER_SOCKET as u32;
/// Entries of the first record.
#[expect(clippy::cast_possible_truncation, reason = "a small number")]
pub const FIRST: u32 = FLOWS_AT_FIRST as u32;
/// Entries of the second record.
const MORE: u32 = ALL - FIRST;

/// Bit of [`SocketFlows::last`]: the socket sent to the endpoint of that entry directly, not by way
/// of the service.
pub(crate) const DIRECT: u32 = 1 << 31;

/// The global functions of this module; see [`kernel`](crate::kernel). The verifier knows nothing about
/// the number that they return. Inline, it would follow the rest of the program for each entry.
pub trait Find: Caller {
    /// [`flow_of`]
    fn flow_of(&self, flows: &SocketFlows, dest: &FrontendKey) -> u32 {
        flow_of(flows, dest)
    }

    /// [`more_of`]
    fn more_of(&self, more: &MoreFlows, dest: &FrontendKey) -> u32 {
        more_of(more, dest)
    }

    /// [`flow_to`]
    fn flow_to(&self, flows: &SocketFlows, peer: &FrontendKey) -> u32 {
        flow_to(flows, peer)
    }

    /// [`more_to`]
    fn more_to(&self, more: &MoreFlows, peer: &FrontendKey) -> u32 {
        more_to(more, peer)
    }

    /// [`place`]
    fn place(&self, flows: &SocketFlows, dest: &FrontendKey) -> u32 {
        place(flows, dest)
    }

    /// [`place_in_more`]
    fn place_in_more(&self, more: &MoreFlows, dest: &FrontendKey, last: u32) -> u32 {
        place_in_more(more, dest, last)
    }
}

/// Returns the calling socket's first record.
#[inline(always)]
#[expect(
    clippy::mut_from_ref,
    reason = "the flows are not part of what `caller` refers to"
)]
pub(crate) fn first<C: Caller>(caller: &C, create: bool) -> Option<&mut SocketFlows> {
    // SAFETY: the flows belong to the calling socket, live as long as it, and no other program uses
    // them meanwhile: see [`Flow`].
    unsafe { caller.flows(create).as_mut() }
}

/// Returns the calling socket's second record. A socket whose first record is not full has none.
#[inline(always)]
#[expect(clippy::mut_from_ref, reason = "as above")]
pub(crate) fn more<'a, C: Caller>(
    caller: &'a C,
    first: &SocketFlows,
    create: bool,
) -> Option<&'a mut MoreFlows> {
    if !is_full(first) {
        return None;
    }
    // SAFETY: as in `first`.
    unsafe { caller.more_flows(create).as_mut() }
}

/// Returns whether the first record has no free entry. Entries are used in order and never become
/// free again.
#[inline(always)]
pub const fn is_full(first: &SocketFlows) -> bool {
    first.flows[FLOWS_AT_FIRST - 1].backend_port != 0
}

/// Returns the number of the first flow to the endpoint `peer`, in either record; [`ALL`] when
/// there is none.
#[inline(always)]
pub(crate) fn number_to<C: Find>(caller: &C, flows: &SocketFlows, peer: &FrontendKey) -> u32 {
    let first = caller.flow_to(flows, peer);
    if first < FIRST {
        return first;
    }
    let index = more(caller, flows, false).map_or(MORE, |more| caller.more_to(more, peer));
    if index < MORE { FIRST + index } else { ALL }
}

/// Returns frontend and backend of the flow with this number; none when the number is out of range.
#[inline(always)]
pub(crate) fn numbered<C: Find>(
    caller: &C,
    flows: &SocketFlows,
    number: u32,
) -> Option<(Addr, u16, Addr, u16)> {
    let parts = |flow: &Flow| {
        (
            flow.frontend.copy(),
            flow.frontend_port,
            flow.backend.copy(),
            flow.backend_port,
        )
    };
    if let Some(flow) = flows.flows.get(number as usize) {
        return Some(parts(flow));
    }
    let more = more(caller, flows, false)?;
    more.flows
        .get(number.wrapping_sub(FIRST) as usize)
        .map(parts)
}

/// Returns whether this is the flow to the service address `dest`.
#[inline(always)]
fn asks_for(flow: &Flow, dest: &FrontendKey) -> bool {
    flow.frontend == dest.addr && flow.frontend_port == dest.port
}

/// Returns whether the flow leads to the endpoint `peer`.
#[inline(always)]
fn leads_to(flow: &Flow, peer: &FrontendKey) -> bool {
    flow.backend == peer.addr && flow.backend_port == peer.port
}

/// Returns the index of the first entry that is `wanted`; the number of entries when there is none.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a small number")]
fn find<const N: usize>(flows: &[Flow; N], wanted: impl Fn(&Flow) -> bool) -> u32 {
    for (index, flow) in (0..).zip(flows) {
        if flow.backend_port == 0 {
            break;
        }
        if wanted(flow) {
            return index;
        }
    }
    N as u32
}

/// Returns the index of the flow to the service address `dest` in the first record; the number of
/// its entries when there is none.
#[inline(always)]
pub fn flow_of(flows: &SocketFlows, dest: &FrontendKey) -> u32 {
    find(&flows.flows, |flow| asks_for(flow, dest))
}

/// Returns the same for the second record.
#[inline(always)]
pub fn more_of(more: &MoreFlows, dest: &FrontendKey) -> u32 {
    find(&more.flows, |flow| asks_for(flow, dest))
}

/// Returns the index of the first flow to the endpoint `peer` in the first record; the number of
/// its entries when there is none.
#[inline(always)]
pub fn flow_to(flows: &SocketFlows, peer: &FrontendKey) -> u32 {
    find(&flows.flows, |flow| leads_to(flow, peer))
}

/// Returns the same for the second record.
#[inline(always)]
pub fn more_to(more: &MoreFlows, peer: &FrontendKey) -> u32 {
    find(&more.flows, |flow| leads_to(flow, peer))
}

/// Returns the index of the first entry that is free or belongs to `dest`; the number of entries
/// when there is none.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a small number")]
fn room<const N: usize>(flows: &[Flow; N], dest: &FrontendKey) -> u32 {
    for (index, flow) in (0..).zip(flows) {
        if flow.backend_port == 0 || asks_for(flow, dest) {
            return index;
        }
    }
    N as u32
}

/// Returns the index of the entry of the first record for a flow to `dest`; the number of its
/// entries when there is no room.
#[inline(always)]
pub fn place(flows: &SocketFlows, dest: &FrontendKey) -> u32 {
    room(&flows.flows, dest)
}

/// Returns the index of the entry of the second record for a flow to `dest`; when there is no room,
/// that after the last used one.
#[inline(always)]
pub fn place_in_more(more: &MoreFlows, dest: &FrontendKey, last: u32) -> u32 {
    let index = room(&more.flows, dest);
    if index < MORE {
        index
    } else {
        (last & !DIRECT).wrapping_sub(FIRST).wrapping_add(1) % MORE
    }
}
