//! `struct bpf_sock_ops`: what the kernel tells of a TCP connection.

use aya_ebpf::{
    bindings::{
        BPF_SOCK_OPS_RTO_CB, BPF_SOCK_OPS_RTO_CB_FLAG, BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG,
        BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_TCP_CLOSE, BPF_TCP_ESTABLISHED, BPF_TCP_SYN_SENT,
    },
    programs::SockOpsContext,
};
use mesh_common::{abi::SocketRecord, life};

use crate::kernel::{Maps, record_of};

/// Most calls are of no interest: the kernel asks this program for several settings of every connection.
#[inline(always)]
pub fn on_event(ctx: &SockOpsContext) {
    let maps = Maps(());
    match ctx.op() {
        BPF_SOCK_OPS_TCP_CONNECT_CB => {
            if record(ctx).is_some_and(life::begins) {
                // Now, not when it is established: else a connect that fails would not be heard of.
                set_flags(ctx, ctx.cb_flags() | BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTO_CB_FLAG);
            }
        }
        BPF_SOCK_OPS_STATE_CB => match ctx.arg(1) {
            BPF_TCP_ESTABLISHED => {
                if let Some(record) = record(ctx) {
                    life::established(&maps, record);
                    set_flags(ctx, ctx.cb_flags() & !BPF_SOCK_OPS_RTO_CB_FLAG);
                }
            }
            BPF_TCP_CLOSE => {
                if let Some(record) = record(ctx) {
                    life::closed(&maps, record);
                }
            }
            _ => {}
        },
        BPF_SOCK_OPS_RTO_CB => {
            // SAFETY: the kernel passes a valid context.
            if unsafe { (*ctx.ops).state } == BPF_TCP_SYN_SENT
                && let Some(record) = record(ctx)
            {
                life::unanswered(&maps, record);
            }
        }
        _ => {}
    }
}

#[inline(always)]
fn record(ctx: &SockOpsContext) -> Option<&SocketRecord> {
    // SAFETY: the kernel passes a valid context, whose socket is valid while the hook runs, or null.
    unsafe {
        let socket = (*ctx.ops).__bindgen_anon_2.sk;
        if socket.is_null() { None } else { record_of(socket.cast()) }
    }
}

/// Other programs' flags are kept by whoever calls this.
#[inline(always)]
fn set_flags(ctx: &SockOpsContext, flags: u32) {
    // Without them the socket gives back what it holds when its program closes it.
    _ = ctx.set_cb_flags(flags as i32);
}
