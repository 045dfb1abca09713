//! `struct bpf_sock_ops`: what the kernel tells of a TCP connection.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        BPF_SOCK_OPS_RTO_CB, BPF_SOCK_OPS_RTO_CB_FLAG, BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG,
        BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_TCP_CLOSE, BPF_TCP_ESTABLISHED, BPF_TCP_SYN_SENT,
    },
    helpers::bpf_get_socket_cookie,
    programs::SockOpsContext,
};
use mesh_common::life;

use crate::kernel::{Maps, may_be_known};

/// Most calls are of no interest: the kernel asks this program for several settings of every connection.
#[inline(always)]
pub fn on_event(ctx: &SockOpsContext) {
    let maps = Maps(());
    match ctx.op() {
        BPF_SOCK_OPS_TCP_CONNECT_CB => {
            if may_be_known(cookie(ctx)) {
                // Now, not when it is established: else a connect that fails would not be heard of. Other programs' flags are
                // kept. Without ours the socket gives back what it holds when its program closes it.
                let ours = BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTO_CB_FLAG;
                _ = ctx.set_cb_flags((ctx.cb_flags() | ours) as i32);
            }
        }
        BPF_SOCK_OPS_STATE_CB => match ctx.arg(1) {
            // SAFETY: the kernel passes a valid context. Its time is in eighths of a microsecond.
            BPF_TCP_ESTABLISHED => life::established(&maps, cookie(ctx), unsafe { (*ctx.ops).srtt_us >> 3 }.into()),
            // SAFETY: as above.
            BPF_TCP_CLOSE => life::closed(&maps, cookie(ctx), unsafe { (*ctx.ops).segs_out } != 0),
            _ => {}
        },
        BPF_SOCK_OPS_RTO_CB => {
            // SAFETY: the kernel passes a valid context.
            if unsafe { (*ctx.ops).state } == BPF_TCP_SYN_SENT {
                life::unanswered(&maps, cookie(ctx));
            }
        }
        _ => {}
    }
}

#[inline(always)]
fn cookie(ctx: &SockOpsContext) -> u64 {
    // SAFETY: the helper takes the context and cannot fail.
    unsafe { bpf_get_socket_cookie(ctx.as_ptr()) }
}
