//! The caller: the calling socket, its client, and the storage of its flows.

use core::{ffi::c_void, ptr};

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id, bpf_get_netns_cookie,
        bpf_get_socket_cookie,
    },
    programs::SockAddrContext,
};
use mesh_common::{
    abi::{ExcludedKey, MoreFlows, Resource, SocketFlows, excluded_kind, maps},
    addr::Addr,
    client::{self, DEPTH},
    kernel::{Caller, Kernel as _},
};

use super::{Maps, take};
use crate::maps::{CLIENTS, EXCLUDED, FLOWS, GROUPS, MORE_FLOWS};

/// Set by the agent before loading: one when EXCLUDED has rows. When it is zero, the verifier removes
/// the check.
#[unsafe(no_mangle)]
static EXCLUSIONS: u32 = 0;

/// Set by the agent before loading: the cookie of the agent's network namespace, which is the node's.
#[unsafe(no_mangle)]
static NODE_NETNS: u64 = 0;

/// Returns whether a socket is in the node's own network namespace. `ctx` is the hook's context.
#[inline(always)]
pub fn is_in_node(ctx: *mut c_void) -> bool {
    // SAFETY: a constant of this object, set before it was loaded; the helper takes the context and
    // cannot fail.
    unsafe { (&raw const NODE_NETNS).read_volatile() == bpf_get_netns_cookie(ctx) }
}

impl Caller for Maps<&SockAddrContext> {
    #[inline(always)]
    fn client(&self, by_cgroup: bool) -> u64 {
        // SAFETY: the helpers take the context or nothing, and cannot fail.
        unsafe {
            if by_cgroup {
                bpf_get_current_cgroup_id()
            } else {
                bpf_get_netns_cookie(self.0.as_ptr())
            }
        }
    }

    #[inline(always)]
    fn client_id(&self) -> u32 {
        // SAFETY: the helper takes no arguments and cannot fail.
        let leaf = client::short(unsafe { bpf_get_current_cgroup_id() });
        let Some(row) = CLIENTS.get_ptr(leaf & (maps::CLIENTS.capacity() - 1)) else {
            return 0;
        };
        // SAFETY: the kernel returned a row of this map; programs read and write it whole.
        let known = unsafe { row.read_volatile() };
        if known >> 32 == u64::from(leaf) {
            known as u32
        } else {
            find_client(leaf)
        }
    }

    #[inline(always)]
    fn source(&self) -> Addr {
        crate::context::bound_to(self.0)
    }

    #[inline(always)]
    fn excluded(&self) -> bool {
        // SAFETY: a constant of this object, set before it was loaded.
        if unsafe { (&raw const EXCLUSIONS).read_volatile() } == 0 {
            return false;
        }
        if is_excluded(excluded_kind::NETNS, self.client(false)) {
            return true;
        }
        for level in 0..DEPTH {
            let id = ancestor(level);
            if id == 0 {
                break;
            }
            if is_excluded(excluded_kind::CGROUP, id) {
                return true;
            }
        }
        false
    }

    #[inline(always)]
    fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the context and cannot fail.
        unsafe { bpf_get_socket_cookie(self.0.as_ptr()) }
    }

    #[inline(always)]
    fn is_connected(&self) -> bool {
        const TCP_ESTABLISHED: u32 = 1;
        // SAFETY: the kernel passes a valid context with a valid socket.
        unsafe {
            let sk = (*self.0.sock_addr).__bindgen_anon_1.sk;
            (&raw const (*sk).state).read_volatile() == TCP_ESTABLISHED
        }
    }

    #[inline(always)]
    fn flows(&self, create: bool) -> *mut SocketFlows {
        // SAFETY: the context's socket is valid while the hook runs.
        unsafe {
            let flows = FLOWS.get_ptr_mut(self.0);
            if flows.is_null() && create {
                self.make_flows()
            } else {
                flows
            }
        }
    }

    #[inline(always)]
    fn more_flows(&self, create: bool) -> *mut MoreFlows {
        // SAFETY: as above.
        unsafe {
            let more = MORE_FLOWS.get_ptr_mut(self.0);
            if more.is_null() && create {
                self.make_more_flows()
            } else {
                more
            }
        }
    }
}

impl Maps<&SockAddrContext> {
    /// Creates the first record of the calling socket's flows. Returns null at its client's quota.
    #[inline(always)]
    fn make_flows(&self) -> *mut SocketFlows {
        let client = self.client_id();
        if !take(client, Resource::Flows) {
            return ptr::null_mut();
        }
        // SAFETY: the context's socket is valid while the hook runs, and its storage is ours alone
        // meanwhile.
        unsafe {
            let flows = FLOWS.get_or_insert_ptr_mut(self.0, None);
            match flows.as_mut() {
                Some(flows) => flows.client = client,
                None => self.give_back(client, Resource::Flows, 1),
            }
            flows
        }
    }

    /// Creates the second record, which has its own quota. Returns null at that quota.
    #[inline(always)]
    fn make_more_flows(&self) -> *mut MoreFlows {
        // SAFETY: as above.
        unsafe {
            let Some(flows) = FLOWS.get_ptr_mut(self.0).as_ref() else {
                return ptr::null_mut();
            };
            let client = flows.client;
            if !take(client, Resource::MoreFlows) {
                return ptr::null_mut();
            }
            let more = MORE_FLOWS.get_or_insert_ptr_mut(self.0, None);
            if more.is_null() {
                self.give_back(client, Resource::MoreFlows, 1);
            }
            more
        }
    }
}

/// Returns the client of the calling task, which is in the cgroup `leaf`, and caches it. The agent clears the cache when it adds groups.
///
/// A global function: few connects miss the cache.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_client(leaf: u32) -> u32 {
    let client = client::short(client::find(ancestor, |id| GROUPS.get_ptr(id).is_some()));
    if let Some(row) = CLIENTS.get_ptr_mut(leaf & (maps::CLIENTS.capacity() - 1)) {
        // SAFETY: as in `client_id`.
        unsafe { row.write_volatile(u64::from(leaf) << 32 | u64::from(client)) };
    }
    client
}

/// Returns the calling task's cgroup at a level below the root; zero when there is none.
#[inline(always)]
fn ancestor(level: i32) -> u64 {
    // SAFETY: the helper returns zero for a level that the task's cgroup does not have.
    unsafe { bpf_get_current_ancestor_cgroup_id(level) }
}

#[inline(always)]
fn is_excluded(kind: u64, id: u64) -> bool {
    EXCLUDED.get_ptr(ExcludedKey { id, kind }).is_some()
}
