//! The context of a sock_addr hook, `struct bpf_sock_addr`, in both address families: reads the
//! address that a program named, writes the address that it gets.

use aya_ebpf::{helpers::bpf_set_retval, programs::SockAddrContext};
use mesh_common::{
    abi::{FrontendKey, protocol},
    addr::Addr,
};

/// Return value of a hook that lets the system call go on.
pub const PROCEED: i32 = 1;
/// Return value of a hook that ends the system call with an error.
const STOP: i32 = 0;

const ECONNREFUSED: i32 = 111;

/// Set by the agent before loading: zero when the kernel has no `bpf_set_retval` (Linux 5.18). Then
/// the verifier removes the call.
#[unsafe(no_mangle)]
static HAS_SET_RETVAL: u32 = 1;

/// A program may see the MPTCP socket before its first subflow.
const IPPROTO_MPTCP: u32 = 262;

/// Address family of a hook: which words of the context hold the address, and which addresses may
/// be written back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// Returns the address to which the calling socket is bound, all zero while it is not bound. An
/// `AF_INET6` socket that is bound to a mapped address has it in the words of both families.
#[inline(always)]
pub fn bound_to(ctx: &SockAddrContext) -> Addr {
    // SAFETY: the kernel passes a valid context with a valid socket. Each word is read by itself,
    // as in `Peer::addr`.
    unsafe {
        let sk = (*ctx.sock_addr).__bindgen_anon_1.sk;
        let v4 = (&raw const (*sk).src_ip4).read_volatile();
        if v4 != 0 {
            return Addr::from_v4_word(v4);
        }
        Addr::from_v6_words([
            (&raw const (*sk).src_ip6[0]).read_volatile(),
            (&raw const (*sk).src_ip6[1]).read_volatile(),
            (&raw const (*sk).src_ip6[2]).read_volatile(),
            (&raw const (*sk).src_ip6[3]).read_volatile(),
        ])
    }
}

/// The socket address a hook was called with.
pub struct Peer<'a> {
    ctx: &'a SockAddrContext,
    family: Family,
}

impl<'a> Peer<'a> {
    #[inline(always)]
    pub const fn new(ctx: &'a SockAddrContext, family: Family) -> Self {
        Self { ctx, family }
    }

    /// Returns the address as a key of SERVICES; none for protocols without services.
    #[inline(always)]
    pub fn frontend(&self) -> Option<FrontendKey> {
        // SAFETY: the kernel passes a valid context.
        let protocol = match unsafe { (*self.ctx.sock_addr).protocol } {
            6 | IPPROTO_MPTCP => protocol::TCP,
            17 => protocol::UDP,
            _ => return None,
        };
        // In whole words: the CPU stalls on a key that is written byte by byte and read by the word
        // a moment later.
        let [a, b, c, d] = self.addr().v6_words();
        Some(bytemuck::cast([
            a,
            b,
            c,
            d,
            u32::from(self.port()) | u32::from(protocol) << 16,
        ]))
    }

    /// Returns the address that the program named.
    #[inline(always)]
    pub fn addr(&self) -> Addr {
        let sock_addr = self.ctx.sock_addr;
        // SAFETY: the kernel passes a valid context; the verifier checks that the words belong to
        // the hook's family. Each word is read by itself: the verifier allows no wider or indexed
        // access.
        unsafe {
            match self.family {
                Family::V4 => Addr::from_v4_word((*sock_addr).user_ip4),
                Family::V6 => Addr::from_v6_words([
                    (&raw const (*sock_addr).user_ip6[0]).read_volatile(),
                    (&raw const (*sock_addr).user_ip6[1]).read_volatile(),
                    (&raw const (*sock_addr).user_ip6[2]).read_volatile(),
                    (&raw const (*sock_addr).user_ip6[3]).read_volatile(),
                ]),
            }
        }
    }

    /// Returns the port, network byte order.
    #[inline(always)]
    pub fn port(&self) -> u16 {
        // SAFETY: the kernel passes a valid context. The port is in the low half of the word.
        (unsafe { (*self.ctx.sock_addr).user_port }) as u16
    }

    /// Writes another address. A frontend and its backends are of one family, so an IPv4 hook only
    /// gets IPv4 addresses.
    #[inline(always)]
    pub fn set(&self, addr: Addr, port: u16) -> i32 {
        let sock_addr = self.ctx.sock_addr;
        // SAFETY: as in `addr`; these words are writable in every sock_addr hook.
        unsafe {
            match self.family {
                Family::V4 => (*sock_addr).user_ip4 = addr.v4_word(),
                Family::V6 => {
                    let words = addr.v6_words();
                    (&raw mut (*sock_addr).user_ip6[0]).write_volatile(words[0]);
                    (&raw mut (*sock_addr).user_ip6[1]).write_volatile(words[1]);
                    (&raw mut (*sock_addr).user_ip6[2]).write_volatile(words[2]);
                    (&raw mut (*sock_addr).user_ip6[3]).write_volatile(words[3]);
                }
            }
            (*sock_addr).user_port = u32::from(port);
        }
        PROCEED
    }

    /// Ends the system call with ECONNREFUSED; where the kernel has no `bpf_set_retval` the program
    /// sees EPERM.
    #[inline(always)]
    pub fn refuse(&self) -> i32 {
        // SAFETY: a constant of this object, set before it was loaded; any negative errno down to
        // -4095 is valid.
        unsafe {
            if (&raw const HAS_SET_RETVAL).read_volatile() != 0 {
                bpf_set_retval(-ECONNREFUSED);
            }
        }
        STOP
    }
}
