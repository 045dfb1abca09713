//! The global functions that write what a socket was given: the row of a connect, the flows of a
//! UDP socket; and the release of both when the socket closes.

use core::{ffi::c_void, ptr};

use aya_ebpf::helpers::{bpf_get_socket_cookie, generated::bpf_sk_storage_get};
use aya_ebpf::programs::SockAddrContext;
use mesh_common::{
    abi::{Flow, FrontendKey, MoreFlows, Resource, ServiceRow, SocketFlows, SocketRecord},
    connect::{self, Connect},
    datagram::{self, Datagrams, Releases},
    flows::{self, Find},
    kernel::Kernel as _,
    socket,
};

use super::{Maps, global::global_functions};
use crate::maps::{FLOWS, MORE_FLOWS};

impl Connect for Maps<&SockAddrContext> {
    #[inline(always)]
    fn record(
        &self,
        service: &ServiceRow,
        known: *mut SocketRecord,
        index: u32,
        cookie: u64,
        state: u64,
    ) -> bool {
        // Most connects are those of new sockets: without a call and its return they are faster.
        if known.is_null() {
            return connect::record(&Maps(()), service, known, index, cookie, state);
        }
        record(service, known, index.into(), cookie, state) != 0
    }

    #[inline(always)]
    fn end(&self, record: &SocketRecord, cookie: u64) {
        end(record, cookie);
    }
}

global_functions! {
    fn record(
        service: *const ServiceRow, known: *mut SocketRecord; index: u64, cookie: u64, state: u64
    ) -> u32 {
        connect::record(&Maps(()), service, known, index as u32, cookie, state).into()
    } or 0;

    fn end(record: *const SocketRecord; cookie: u64) -> u32 {
        socket::end(&Maps(()), record, cookie);
        0
    } or 0;
}

impl Find for Maps<&SockAddrContext> {
    #[inline(always)]
    fn flow_of(&self, flows: &SocketFlows, dest: &FrontendKey) -> u32 {
        flow_of(flows, dest)
    }

    #[inline(always)]
    fn more_of(&self, more: &MoreFlows, dest: &FrontendKey) -> u32 {
        more_of(more, dest)
    }

    #[inline(always)]
    fn flow_to(&self, flows: &SocketFlows, peer: &FrontendKey) -> u32 {
        flow_to(flows, peer)
    }

    #[inline(always)]
    fn more_to(&self, more: &MoreFlows, peer: &FrontendKey) -> u32 {
        more_to(more, peer)
    }

    #[inline(always)]
    fn place(&self, flows: &SocketFlows, dest: &FrontendKey) -> u32 {
        place(flows, dest)
    }

    #[inline(always)]
    fn place_in_more(&self, more: &MoreFlows, dest: &FrontendKey, last: u32) -> u32 {
        place_in_more(more, dest, last.into())
    }
}

// Each returns an index that is out of range where a row is missing: the compiler infers the range
// of what functions of the same object return, and would drop the caller's check.
global_functions! {
    fn flow_of(flows: *const SocketFlows, dest: *const FrontendKey) -> u32 {
        flows::flow_of(flows, dest)
    } or u32::MAX;

    fn more_of(more: *const MoreFlows, dest: *const FrontendKey) -> u32 {
        flows::more_of(more, dest)
    } or u32::MAX;

    fn flow_to(flows: *const SocketFlows, peer: *const FrontendKey) -> u32 {
        flows::flow_to(flows, peer)
    } or u32::MAX;

    fn more_to(more: *const MoreFlows, peer: *const FrontendKey) -> u32 {
        flows::more_to(more, peer)
    } or u32::MAX;

    fn place(flows: *const SocketFlows, dest: *const FrontendKey) -> u32 {
        flows::place(flows, dest)
    } or u32::MAX;

    fn place_in_more(more: *const MoreFlows, dest: *const FrontendKey; last: u64) -> u32 {
        flows::place_in_more(more, dest, last as u32)
    } or u32::MAX;
}

impl Releases for Maps<()> {
    #[inline(always)]
    fn give_back_flow(&self, flow: &Flow, client: u32) {
        give_back_flow(flow, client);
    }
}

impl Datagrams for Maps<&SockAddrContext> {
    #[inline(always)]
    fn stop(&self, flow: &mut Flow, client: u32) {
        stop(flow, client);
    }

    #[inline(always)]
    fn goes_on(&self, flow: &mut Flow, service: &ServiceRow) -> bool {
        goes_on(flow, service) != 0
    }

    #[inline(always)]
    fn put(&self, flow: &mut Flow, service: &ServiceRow, index: u32, held: u32) {
        put(flow, service, index.into(), held.into());
    }
}

global_functions! {
    fn give_back_flow(flow: *const Flow; client: u32) -> u32 {
        datagram::give_back(&Maps(()), flow, client);
        0
    } or 0;

    fn stop(flow: *mut Flow; client: u32) -> u32 {
        datagram::stop(&Maps(()), flow, client);
        0
    } or 0;

    fn goes_on(flow: *mut Flow, service: *const ServiceRow) -> u32 {
        datagram::goes_on(&Maps(()), flow, service).into()
    } or 0;

    fn put(flow: *mut Flow, service: *const ServiceRow; index: u64, held: u64) -> u32 {
        datagram::put(&Maps(()), flow, service, index as u32, held as u32);
        1
    } or 0;
}

/// Releases what a closed socket holds, with its row and its flows. `ctx` is the hook's context.
/// `is_unconnected` says whether the socket is in no state of a connection.
#[inline(always)]
pub fn release(ctx: *mut c_void, is_unconnected: impl FnOnce() -> bool) {
    let maps = Maps(());
    // SAFETY: the helper takes the context and cannot fail.
    socket::released(&maps, unsafe { bpf_get_socket_cookie(ctx) }, is_unconnected);
    // SAFETY: the hook's context is the socket, which is valid while the hook runs.
    if let Some(flows) = unsafe { storage::<SocketFlows>((&raw const FLOWS).cast(), ctx) } {
        // SAFETY: as above.
        let second = || unsafe { storage::<MoreFlows>((&raw const MORE_FLOWS).cast(), ctx) };
        let more = if flows::is_full(flows) {
            second()
        } else {
            None
        };
        datagram::released(&maps, flows, more);
        maps.give_back(flows.client, Resource::Flows, 1);
        if more.is_some() {
            maps.give_back(flows.client, Resource::MoreFlows, 1);
        }
    }
}

/// Returns what a map of socket storage holds for a socket.
///
/// # Safety
/// `map` must be a map whose values are `T`, and the socket valid for as long as the value is used.
#[inline(always)]
unsafe fn storage<'a, T>(map: *const c_void, socket: *mut c_void) -> Option<&'a T> {
    // SAFETY: promised by the caller; a map is named by its address, as everywhere.
    unsafe {
        bpf_sk_storage_get(map.cast_mut(), socket, ptr::null_mut(), 0)
            .cast::<T>()
            .as_ref()
    }
}
