//! The hooks. Each reads its context, calls a decision in mesh-common and writes the context.
#![no_std]
#![no_main]

mod context;
mod kernel;
mod log;
mod maps;
mod tcp;

use aya_ebpf::{
    EbpfContext as _,
    bindings::BPF_TCP_CLOSE,
    macros::{cgroup_sock, cgroup_sock_addr, sock_ops, socket_filter},
    programs::{SkBuffContext, SockAddrContext, SockContext, SockOpsContext},
};
use mesh_common::{
    abi::{FrontendKey, protocol},
    connect::{Verdict, connect},
    datagram::{asked_for, connected, send},
    kernel::Caller as _,
    reply::reverse,
    settle::{self, Request},
    socket,
};

use crate::{
    context::{Family, PROCEED, Peer},
    kernel::Maps,
};

#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    on_connect(&ctx, Family::V4)
}

#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    on_connect(&ctx, Family::V6)
}

#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    on_sendmsg(&ctx, Family::V4)
}

#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    on_sendmsg(&ctx, Family::V6)
}

#[cgroup_sock_addr(recvmsg4)]
pub fn recvmsg4(ctx: SockAddrContext) -> i32 {
    on_recvmsg(&ctx, Family::V4)
}

#[cgroup_sock_addr(recvmsg6)]
pub fn recvmsg6(ctx: SockAddrContext) -> i32 {
    on_recvmsg(&ctx, Family::V6)
}

#[cgroup_sock_addr(getpeername4)]
pub fn getpeername4(ctx: SockAddrContext) -> i32 {
    on_getpeername(&ctx, Family::V4)
}

#[cgroup_sock_addr(getpeername6)]
pub fn getpeername6(ctx: SockAddrContext) -> i32 {
    on_getpeername(&ctx, Family::V6)
}

#[cgroup_sock(sock_release)]
pub fn sock_release(ctx: SockContext) -> i32 {
    kernel::release(ctx.as_ptr(), || is_unconnected(&ctx));
    PROCEED
}

/// Returns whether a TCP socket is in no state of a connection. A socket that waits for data to
/// send with its SYN (Fast Open) is connecting. The connects of an MPTCP socket are those of its
/// subflows' sockets.
#[inline(always)]
fn is_unconnected(ctx: &SockContext) -> bool {
    const TCP: u32 = 6;
    // SAFETY: the kernel passes a valid context. Each word is read by itself.
    unsafe {
        let (protocol, state) = (
            &raw const (*ctx.sock).protocol,
            &raw const (*ctx.sock).state,
        );
        protocol.read_volatile() == TCP && state.read_volatile() == BPF_TCP_CLOSE
    }
}

/// Follows a TCP connection from its SYN to its end.
#[sock_ops]
pub fn sock_ops(ctx: SockOpsContext) -> u32 {
    tcp::on_event(&ctx);
    0
}

/// Runs when the agent asks for it and at no other time: it is never attached. The words of the
/// request are in the scratch area of an empty packet.
#[socket_filter]
pub fn settle(ctx: SkBuffContext) -> i64 {
    // SAFETY: the kernel passes a valid context.
    let words = unsafe { (&raw const (*ctx.skb.skb).cb).read_volatile() };
    if let Some(request) = Request::of(words) {
        settle::settle(&Maps(()), request);
    }
    0
}

#[inline(always)]
fn on_connect(ctx: &SockAddrContext, family: Family) -> i32 {
    let peer = Peer::new(ctx, family);
    let Some(dest) = peer.frontend() else {
        return PROCEED;
    };
    carry_out(&peer, &dest, connect(&Maps(ctx), &dest))
}

#[inline(always)]
fn on_sendmsg(ctx: &SockAddrContext, family: Family) -> i32 {
    let peer = Peer::new(ctx, family);
    let Some(dest) = peer.frontend() else {
        return PROCEED;
    };
    carry_out(&peer, &dest, send(&Maps(ctx), &dest))
}

#[inline(always)]
fn carry_out(peer: &Peer<'_>, dest: &FrontendKey, verdict: Verdict) -> i32 {
    log::decided(dest, &verdict);
    match verdict {
        Verdict::Untouched => PROCEED,
        Verdict::Backend { addr, port } => peer.set(addr, port),
        Verdict::Refused => peer.refuse(),
    }
}

#[inline(always)]
fn on_recvmsg(ctx: &SockAddrContext, family: Family) -> i32 {
    let (peer, maps) = (Peer::new(ctx, family), Maps(ctx));
    let (addr, port) = (peer.addr(), peer.port());
    if let Some(record) = connected(&maps)
        && let Some((addr, port)) = reverse(record, addr, port)
    {
        return peer.set(addr, port);
    }
    // SAFETY: the flows belong to the calling socket and live as long as it.
    if let Some(flows) = unsafe { maps.flows(false).as_ref() }
        && let Some((addr, port)) = asked_for(
            &maps,
            flows,
            &FrontendKey {
                addr,
                port,
                protocol: protocol::UDP,
                pad: 0,
            },
        )
    {
        return peer.set(addr, port);
    }
    PROCEED
}

#[inline(always)]
fn on_getpeername(ctx: &SockAddrContext, family: Family) -> i32 {
    let peer = Peer::new(ctx, family);
    let maps = Maps(ctx);
    match socket::record(&maps, maps.cookie())
        .and_then(|record| reverse(record, peer.addr(), peer.port()))
    {
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
