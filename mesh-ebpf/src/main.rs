//! The hooks. Each reads its context, calls a decision in mesh-common and writes the context.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(internal_features, reason = "atomic adds, see `kernel::increment`")]

mod context;
mod kernel;
mod maps;

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};
use mesh_common::{
    connect::{Verdict, connect},
    reply::reverse,
};

use crate::{
    context::{Family, PROCEED, Peer},
    kernel::Maps,
    maps::SOCKETS,
};

#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    on_connect(&ctx, Family::V4)
}

#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    on_connect(&ctx, Family::V6)
}

#[cgroup_sock_addr(getpeername4)]
pub fn getpeername4(ctx: SockAddrContext) -> i32 {
    on_getpeername(&ctx, Family::V4)
}

#[cgroup_sock_addr(getpeername6)]
pub fn getpeername6(ctx: SockAddrContext) -> i32 {
    on_getpeername(&ctx, Family::V6)
}

#[inline(always)]
fn on_connect(ctx: &SockAddrContext, family: Family) -> i32 {
    let peer = Peer::new(ctx, family);
    let Some(dest) = peer.frontend() else {
        return PROCEED;
    };
    match connect(&Maps(ctx), &dest) {
        Verdict::Untouched => PROCEED,
        Verdict::Backend { addr, port } => peer.set(addr, port),
        Verdict::Refused => peer.refuse(),
    }
}

#[inline(always)]
fn on_getpeername(ctx: &SockAddrContext, family: Family) -> i32 {
    // SAFETY: the context's socket is valid while the hook runs.
    let record = unsafe { SOCKETS.get_ptr_mut(ctx).as_ref() };
    let peer = Peer::new(ctx, family);
    let shown = record.and_then(|record| reverse(record, peer.addr(), peer.port()));
    match shown {
        Some((addr, port)) => peer.set(addr, port),
        None => PROCEED,
    }
}

/// The kernel refuses helpers such as `bpf_set_retval` to programs under another licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
