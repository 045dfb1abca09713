//! The sock_ops hook: what the kernel reports about a TCP connection. Takes `struct bpf_sock_ops`,
//! passes each event of a recorded socket to [`mesh_common::socket`].

use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_RTO_CB, BPF_SOCK_OPS_RTO_CB_FLAG,
        BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG, BPF_SOCK_OPS_TCP_CONNECT_CB,
        BPF_TCP_CLOSE, BPF_TCP_SYN_SENT,
    },
    helpers::bpf_get_socket_cookie,
    programs::SockOpsContext,
};
use mesh_common::socket;

use crate::kernel::{Maps, is_in_node, may_have_row};

/// Handles one event. Most events are ignored: the kernel calls this program for several settings
/// of every connection.
#[inline(always)]
pub fn on_event(ctx: &SockOpsContext) {
    let maps = Maps(());
    match ctx.op() {
        // The route is found and the port chosen; the SYN is next.
        // https://github.com/torvalds/linux/blob/v6.1/net/ipv4/tcp_output.c#L3894
        BPF_SOCK_OPS_TCP_CONNECT_CB => {
            let cookie = cookie(ctx);
            if may_have_row(cookie) {
                // Now, not when the connection is established: otherwise no event would report a
                // connect that fails.
                ask_for_events(ctx);
                socket::syn_sent(&maps, cookie);
            }
        }
        // The kernel sends this event without a flag, so even where another program cleared our
        // flags.
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => {
            let cookie = cookie(ctx);
            if may_have_row(cookie) {
                ask_for_events(ctx);
                // SAFETY: the kernel passes a valid context. Its time is in eighths of a
                // microsecond.
                let handshake = unsafe { (*ctx.ops).srtt_us >> 3 };
                socket::established(&maps, cookie, handshake.into(), || is_in_node(ctx.as_ptr()));
            }
        }
        BPF_SOCK_OPS_STATE_CB => {
            if ctx.arg(1) == BPF_TCP_CLOSE {
                socket::closed(&maps, cookie(ctx), has_failed(ctx));
            }
        }
        BPF_SOCK_OPS_RTO_CB => {
            // SAFETY: the kernel passes a valid context.
            if unsafe { (*ctx.ops).state } == BPF_TCP_SYN_SENT {
                socket::unanswered(&maps, cookie(ctx));
            }
        }
        _ => {}
    }
}

/// Enables the events of this connection that need a flag. Keeps the flags of other programs.
/// Without our flags a socket releases its backend when its program closes it.
#[inline(always)]
fn ask_for_events(ctx: &SockOpsContext) {
    let ours = BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTO_CB_FLAG;
    if ctx.cb_flags() & ours != ours {
        _ = ctx.set_cb_flags((ctx.cb_flags() | ours) as i32);
    }
}

/// Returns whether a connect that ends without a connection was refused or given up by the kernel.
/// A program that disconnects or shuts down its socket does so before any answer, while its SYN is
/// still in the send queue. The kernel empties that queue before it reports an error
/// (`tcp_done_with_error`, net/ipv4/tcp.c, Linux 6.11). Older kernels do not distinguish errors
/// without an answer, as from ICMP: those count only by the connect timeout.
#[inline(always)]
fn has_failed(ctx: &SockOpsContext) -> bool {
    // SAFETY: the kernel passes a valid context.
    let (sent, received, queued) = unsafe {
        (
            (*ctx.ops).segs_out,
            (*ctx.ops).segs_in,
            (*ctx.ops).packets_out,
        )
    };
    sent != 0 && (received != 0 || queued == 0)
}

#[inline(always)]
fn cookie(ctx: &SockOpsContext) -> u64 {
    // SAFETY: the helper takes the context and cannot fail.
    unsafe { bpf_get_socket_cookie(ctx.as_ptr()) }
}
